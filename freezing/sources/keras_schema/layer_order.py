"""Whether the calls of a functional model can be made in some order, and how many there are.

Keras 2 goes on for ever with calls that wait for each other, or for one that is never made. A model
that is used twice in one that is used twice, and so on, is small on disk and never ends either.
"""

from collections import defaultdict
from dataclasses import dataclass

from freezing.sources.keras_schema.violations import WrongValueError, shown

MOST_CALLS = 100_000  # of layers, inner models counted as often as they are used


@dataclass(frozen=True, kw_only=True)
class ConfiguredLayer:
    """A layer of a functional model, and how often it is called."""

    calls: list[list[tuple[str, int]]]  # the tensors that each call takes: layer and call of it
    is_input: bool
    is_model: bool
    counts_from_one: bool  # whether the first of its calls surely has the number 1


Calls = dict[str, ConfiguredLayer]
_Call = tuple[str, int]


def check_order(layers: Calls, ends: list[tuple[str, int]]) -> None:
    """Raise `WrongValueError` where a call takes what is never there, or waits for itself.

    `ends` are the tensors that the model takes and gives.
    """
    for name, _ in ends:
        if name not in layers:
            raise WrongValueError(f"without the layer {shown(name)}, which it takes or gives")
    waiting: dict[_Call, int] = {}
    takers: defaultdict[_Call, list[_Call]] = defaultdict(list)
    for name, layer in layers.items():
        for index, takes in enumerate(layer.calls):
            needed = {call for taken in takes if (call := _needed(layers, name, taken))}
            if index:
                needed.add((name, index - 1))
            waiting[name, index] = len(needed)
            for call in needed:
                takers[call].append((name, index))
    ready = [call for call, count in waiting.items() if not count]
    while ready:
        call = ready.pop()
        del waiting[call]
        for taker in takers[call]:
            waiting[taker] -= 1
            if not waiting[taker]:
                ready.append(taker)
    if waiting:
        raise WrongValueError(
            f"a circle: the layer {shown(next(iter(waiting))[0])} waits for itself"
        )


def _needed(layers: Calls, name: str, taken: _Call) -> _Call | None:
    """Return the call that another takes a tensor of; None where it is an input."""
    other, number = taken
    layer = layers.get(other)
    if layer is None:
        raise WrongValueError(f"without the layer {shown(other)}, which {shown(name)} takes")
    if layer.is_input:
        return None
    last = len(layer.calls) - (not layer.is_model)
    if not int(layer.counts_from_one) <= number <= last or not layer.calls:
        raise WrongValueError(
            f"without the call {number} of the layer {shown(other)}, which {shown(name)} takes"
        )
    return other, min(max(number - layer.is_model, 0), len(layer.calls) - 1)

"""Moving averages of weights that lie beside the weights, to be taken in their place.

`tf.train.ExponentialMovingAverage` keeps a variable for each weight, called after the weight and
itself: `conv/weights/ExponentialMovingAverage`. Those are what the training's own evaluation
restores. They are found by what the graph moves, where it is the one that was trained, and else by
their names.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import tensorflow as tf

from freezing.graph.graph import VARIABLE_OPS, Graph
from freezing.graph.moving_averages import averages
from freezing.sources.restore import CheckpointEntry
from freezing.sources.source import Indexed, Value, Values
from worker.errors import SourceError

USUAL = "ExponentialMovingAverage"  # what TensorFlow calls them where nobody says otherwise
_MOST_NAMES = 3
# Of what is an average itself, or counts, nobody keeps averages.
_NOT_LEARNT = ("moving_mean", "moving_variance", "global_step")


class NoAveragesError(SourceError):
    """Moving averages of the weights are asked for, and the source keeps none."""

    code = "no_averages"


@runtime_checkable
class Entries(Protocol):
    """Values that lie under names, of which there may be more than the graph's variables need."""

    @property
    def names(self) -> Collection[str]:
        """The names of all entries."""

    def entry(self, node: Any) -> CheckpointEntry | None:
        """Return where the value of a variable NodeDef lies; None where it is missing."""

    def read_entry(self, node: Any, entry: CheckpointEntry) -> Value:
        """Return what lies there as the value of a variable NodeDef."""


@dataclass(frozen=True, kw_only=True)
class StoredAverages:
    """Where the averages of a graph's weights lie, by the weight's node."""

    entries: Mapping[str, CheckpointEntry]
    without: Sequence[str]  # weights that have none, where others have

    @property
    def counted(self) -> str:
        """How many weights have one, for a person."""
        count = len(self.entries) + len(self.without)
        if not self.without:
            return f"all {count} weights"
        return f"{len(self.entries)} of {count} weights (not of {_few(self.without)})"


def averages_of(values: Values, whole: Graph, variables: Iterable[Any]) -> StoredAverages:
    """Return the averages that a source keeps of variables (NodeDefs) of its graph."""
    if not isinstance(values, Entries):
        return StoredAverages(entries={}, without=())
    moved = _moved(whole)
    names = set(values.names)
    usual = {name for name in names if name.endswith(f"/{USUAL}")}
    found: dict[str, CheckpointEntry] = {}
    without: list[str] = []
    for node in variables:
        own = values.entry(node)
        if own is None or not tf.as_dtype(node.attr["dtype"].type).base_dtype.is_floating:
            continue
        entry = values.entry(whole.nodes[moved[node.name]]) if node.name in moved else None
        entry = entry or _called_after(own, usual)
        if entry is not None and entry.key in names:
            found[node.name] = entry
        elif not own.key.endswith((*_NOT_LEARNT, USUAL)):
            without.append(node.name)
    return StoredAverages(entries=found, without=without if found else ())


class AveragedValues:
    """Reads the averages of variables that have some, and the values of others."""

    def __init__(self, values: Any, averages: StoredAverages) -> None:
        """Take `Entries` that are `Values` as well."""
        self._values = values
        self._averages = averages

    def read(self, nodes: Iterable[Any]) -> dict[str, Value]:
        """Return the value of each variable NodeDef, by node name."""
        return {node.name: self._value(node) for node in nodes}

    def bytes_of(self, node: Any) -> int:
        """Return the size of the value of a variable NodeDef, 0 where that is not known."""
        return self._values.bytes_of(node) if isinstance(self._values, Indexed) else 0

    def _value(self, node: Any) -> Value:
        entry = self._averages.entries.get(node.name)
        if entry is None:
            own: dict[str, Value] = self._values.read([node])
            return own[node.name]
        average: Value = self._values.read_entry(node, entry)
        return average


def take_averages(
    values: Values, found: StoredAverages, *, asked: bool, warnings: list[str]
) -> Values:
    """Return the values to freeze, and add to `warnings` which of them were taken.

    Raises `NoAveragesError` where averages are `asked` for and there are none.
    """
    if asked and not found.entries:
        raise NoAveragesError(
            "The source keeps no moving averages of the weights that the outputs need: leave "
            "`averages` out (--averages)."
        )
    if asked:
        warnings.append(f"The moving averages of {found.counted} were taken in place of these.")
        return AveragedValues(values, found)
    if found.entries:
        warnings.append(
            f"The source keeps moving averages of {found.counted}, with which such models are "
            "usually evaluated. They were not taken, but the last weights: take them with "
            "`averages` (--averages)."
        )
    return values


def _moved(graph: Graph) -> dict[str, str]:
    """Return the variables that follow another one, by that one."""
    found: dict[str, str] = {}
    for one in averages(graph):
        name = one.follows.node
        while name in graph and graph.nodes[name].op == "ReadVariableOp":
            name = graph.data_inputs(name)[0].node
        if name in graph and graph.nodes[name].op in VARIABLE_OPS:
            found[name] = one.variable
    return found


def _called_after(own: CheckpointEntry, names: Collection[str]) -> CheckpointEntry | None:
    """Return the entry that is called after another one, also in a scope around it."""
    name = f"{own.key}/{USUAL}"
    if name in names:
        return CheckpointEntry(name, own.slice)
    inside = [other for other in names if other.endswith(f"/{name}")]
    return CheckpointEntry(inside[0], own.slice) if len(inside) == 1 else None


def _few(names: Sequence[str]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")

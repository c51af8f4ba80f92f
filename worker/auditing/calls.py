"""Which functions of a graph call which, and what comes out when all calls are put in line.

A function that calls itself never ends, and crashes what loads it. Functions that each call the
next one twice are small in a file and double with every step. Both are found here without running
or loading anything: a GraphDef is read that somebody parsed. Needs no TensorFlow.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

MOST_NODES = 1_000_000  # of a graph with all its functions put in line
MOST_DEPTH = 200  # of functions that call each other
_MOST_ATTRIBUTES = 30  # within attributes of functions
_MOST_SHOWN = 5  # functions of a circle
_GRADIENT = "SymbolicGradient"  # calls the gradient of the function that it names


def why_endless(graph_def: Any) -> str | None:
    """Return what is wrong with the calls of a GraphDef as the end of "The graph ...", or None."""
    functions = {function.signature.name: function for function in graph_def.library.function}
    gradients = {one.function_name: one.gradient_func for one in graph_def.library.gradient}
    try:
        calls = {
            name: _calls(function.node_def, functions, gradients)
            for name, function in functions.items()
        }
        called = _calls(graph_def.node, functions, gradients)
    except _TooDeepError:
        return f"has attributes nested more than {_MOST_ATTRIBUTES} deep, which no model needs"
    order, left = _callees_first(calls)
    if left:
        circle = " -> ".join(f"'{name}'" for name in _circle(calls, left))
        return f"has a function that calls itself ({circle}), which never ends"
    sizes: dict[str, int] = {}
    depths: dict[str, int] = {}
    for name in order:
        sizes[name] = len(functions[name].node_def) + _sum(calls[name], sizes)
        depths[name] = 1 + max((depths[other] for other in calls[name]), default=0)
    if max((depths[name] for name in called), default=0) > MOST_DEPTH:
        return f"has functions that call each other more than {MOST_DEPTH} deep"
    if len(graph_def.node) + _sum(called, sizes) > MOST_NODES:
        return (
            f"would have more than {MOST_NODES:,} nodes with its functions put in line, because "
            "they call each other over and over"
        )
    return None


class _TooDeepError(Exception):
    """Attributes of functions lie in each other without an end."""


def _calls(
    nodes: Iterable[Any], functions: Mapping[str, Any], gradients: Mapping[str, str]
) -> Counter[str]:
    """Return how often the nodes call each function, directly or through an attribute."""
    found: Counter[str] = Counter()
    for node in nodes:
        names = [node.op]
        for value in node.attr.values():
            names.extend(_named(value, 0))
        if node.op == _GRADIENT:
            names.extend([gradients.get(name, "") for name in names])
        found.update(name for name in names if name in functions)
    return found


def _named(value: Any, depth: int) -> Iterator[str]:
    """Yield the functions that the value of an attribute names, at any depth."""
    if depth > _MOST_ATTRIBUTES:
        raise _TooDeepError
    kind = value.WhichOneof("value")
    called = [value.func] if kind == "func" else value.list.func if kind == "list" else ()
    for function in called:
        yield function.name
        for inner in function.attr.values():
            yield from _named(inner, depth + 1)


def _callees_first(calls: Mapping[str, Counter[str]]) -> tuple[list[str], set[str]]:
    """Return the functions, each after those that it calls, and those that are never done."""
    callers: dict[str, list[str]] = {name: [] for name in calls}
    for name, called in calls.items():
        for other in called:
            callers[other].append(name)
    waiting = {name: len(called) for name, called in calls.items()}
    order: list[str] = []
    ready = [name for name, count in waiting.items() if not count]
    while ready:
        name = ready.pop()
        del waiting[name]
        order.append(name)
        for caller in callers[name]:
            waiting[caller] -= 1
            if not waiting[caller]:
                ready.append(caller)
    return order, set(waiting)


def _circle(calls: Mapping[str, Counter[str]], left: set[str]) -> list[str]:
    """Return the functions of a circle in the order of their calls, shortened to a few."""
    place: dict[str, int] = {}  # of each function on the way
    name = min(left)
    while name not in place:
        place[name] = len(place)
        name = min(other for other in calls[name] if other in left)
    circle = [*list(place)[place[name] :], name]
    return circle if len(circle) <= _MOST_SHOWN else [*circle[: _MOST_SHOWN - 2], "...", name]


def _sum(calls: Counter[str], sizes: Mapping[str, int]) -> int:
    return sum(count * sizes[name] for name, count in calls.items())

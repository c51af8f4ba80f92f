"""The parameter table: which variables a graph keeps, and how many numbers each holds."""

import math
from collections.abc import Iterable, Mapping
from typing import TypedDict

from freezing.graph.flow import Flow
from freezing.graph.graph import Graph
from freezing.graph.weights import weights
from freezing.sources.source import Value


class LayerParameters(TypedDict):
    """One variable, or the sum over one layer's variables, whose shape is then None."""

    name: str
    shape: list[int] | None
    parameters: int


def parameter_rows(values: Mapping[str, Value]) -> list[LayerParameters]:
    """Return one row per variable, in graph order; the parts of a partitioned one are one row."""
    return table((value.key, value.full_shape) for value in values.values())


def parameters_of_constants(graph: Graph) -> list[LayerParameters]:
    """Return one row per constant that holds weights, of a graph without variables."""
    found = weights(graph, graph.nodes, Flow(graph).weights)
    return table((one.name, one.shape) for one in found)


def table(variables: Iterable[tuple[str, tuple[int, ...]]]) -> list[LayerParameters]:
    """Return a row per name and shape; a name that comes again is left out."""
    return [
        {"name": name, "shape": list(shape), "parameters": math.prod(shape)}
        for name, shape in dict(variables).items()
    ]


def by_layer(rows: Iterable[LayerParameters]) -> list[LayerParameters]:
    """Return one row per layer: the variables of one scope (`conv1/weights`, `conv1/biases`).

    A variable without a scope is a layer of its own. Layers come in the order in which their first
    variable does.
    """
    sums: dict[str, int] = {}
    for row in rows:
        layer = row["name"].rpartition("/")[0] or row["name"]
        sums[layer] = sums.get(layer, 0) + row["parameters"]
    return [{"name": name, "shape": None, "parameters": count} for name, count in sums.items()]


def total(rows: Iterable[LayerParameters]) -> int:
    """Return how many parameters there are in all."""
    return sum(row["parameters"] for row in rows)

"""Labels that a source carries itself: beside the graph, or in it, where it names its classes."""

import shlex
from typing import Any

import tensorflow as tf

from freezing.graph.graph import Endpoint, Graph, output_types
from freezing.sources.lookup_tables import FINDS, table_behind
from freezing.sources.source import Source
from worker.printable import printable
from worker.sources.label_files import those_that_fit

_OTHERS = "If others are meant, give them with `labels` (--labels)."
_MOST_NAMES = 5  # of files that a sentence lists
_GATHERS = frozenset({"Gather", "GatherV2"})
# What lays texts out for a batch: as `Tile` of a vector of class names in `tf.estimator`.
_LAYING_OUT = frozenset(
    {"Identity", "Tile", "ExpandDims", "Reshape", "StridedSlice", "Squeeze", "BroadcastTo"}
)


def known_labels(source: Source, columns: int, warnings: list[str]) -> list[str] | None:
    """Return the source's own labels if there are as many as `columns`; say where they are from.

    Without a list of its own, a source may hold a table or a vector that gives each class its
    name. It is taken where it is the only one of that length. Then come files beside the source.
    """
    if source.labels is not None:
        if len(source.labels) == columns or (columns == 1 and len(source.labels) == 2):
            warnings.append(f"The labels are those that the {source.kind_words} carries. {_OTHERS}")
            return source.labels
        warnings.append(
            f"The {source.kind_words} carries {len(source.labels)} labels, but there are {columns} "
            f"scores per image: they were left out. {_OTHERS}"
        )
        return None
    found = {
        tuple(labels): name
        for name, labels in _in_graph(Graph(source.graph_def), source)
        if len(labels) == columns and columns > 1
    }
    if len(found) != 1:
        return _beside(source, columns, warnings)
    labels, name = next(iter(found.items()))
    warnings.append(f"The labels are those of '{name}' in the graph. {_OTHERS}")
    return list(labels)


def _beside(source: Source, columns: int, warnings: list[str]) -> list[str] | None:
    """Return the labels of the file beside the source that has one for each class.

    Files that say the same are one. Where several say something else, none is taken.
    """
    files = those_that_fit(source.label_files, columns)
    names = [printable(one.path.name) for one in files]
    if len({one.labels for one in files}) > 1:
        warnings.append(
            f"No labels were taken: {', '.join(names[:_MOST_NAMES])} beside the "
            f"{source.kind_words} hold {columns} each, and not the same ones. Say which are meant: "
            f"--labels {shlex.quote(names[0])}."
        )
        return None
    if files:
        warnings.append(f"The labels were taken from '{names[0]}' beside it. {_OTHERS}")
        return list(files[0].labels)
    warnings += [
        f"'{printable(one.path.name)}' beside the {source.kind_words} holds {len(one.labels)} "
        f"labels, but there are {columns} scores per image: they were left out."
        for one in source.label_files[:_MOST_NAMES]
    ]
    return None


def _in_graph(graph: Graph, source: Source) -> list[tuple[str, list[str]]]:
    """Return the names of classes that lookups, gathers and signatures' outputs of text show."""
    found = []
    for node in graph:
        if node.op in FINDS:
            name = table_behind(graph, graph.data_inputs(node.name)[0])
            table = source.tables.get(name)
            labels = table.labels() if table is not None else None
            if labels:
                found.append((name, labels))
        elif node.op in _GATHERS and node.attr["Tparams"].type == tf.string.as_datatype_enum:
            found += _vector(graph, graph.data_inputs(node.name)[0])
    if graph.functions:  # in which the lookups are, with the tables as arguments
        for name, table in source.tables.items():
            labels = table.labels()
            if labels:
                found.append((name, labels))
    for signature in source.signatures:
        for text in signature.outputs.values():
            end = Endpoint.parse(text)
            if end.node in graph and tf.string.as_datatype_enum in _types(graph, end):
                found += _vector(graph, end)
    return found


def _vector(graph: Graph, end: Endpoint) -> list[tuple[str, list[str]]]:
    """Return name and texts of the constant vector that is laid out in `end`, if there is one."""
    while end.node in graph and graph.nodes[end.node].op in _LAYING_OUT:
        end = graph.data_inputs(end.node)[0]
    node = graph.nodes.get(end.node)
    if node is None or node.op != "Const":
        return []
    texts = tf.make_ndarray(node.attr["value"].tensor)
    if texts.ndim != 1:
        return []
    return [(node.name, [text.decode("utf-8", "replace") for text in texts])]


def _types(graph: Graph, end: Endpoint) -> list[Any]:
    return output_types(graph.nodes[end.node]) or []

"""Nodes made fit for this TensorFlow: attributes that it does not have are taken off.

A newer TensorFlow writes attributes that an older one lacks, and the other way round. The producer
sends along its own op definitions; an attribute that has its default there may go, as
TensorFlow's importer does it. Any other may change what the op does.
"""

from typing import Any

from freezing.graph.graph import Graph, op_def

_LAST_WITH_LEGACY_SHAPES = 21  # see the shape function of Placeholder in array_ops.cc


def strip_unknown_attributes(graph: Graph, op_list: Any) -> list[str]:
    """Remove, in place, attributes that this TensorFlow's ops do not have.

    `op_list` is the producer's OpList, or None. Returns a warning for each kind of attribute that
    was removed although it had another value than its default.
    """
    producer = {op.name: op for op in op_list.op} if op_list is not None else {}
    changed: dict[tuple[str, str], int] = {}
    bodies = [function.node_def for function in graph.functions.values()]
    for nodes in [list(graph), *bodies]:
        for node in nodes:
            for name in _unknown(node):
                if not _is_default(producer.get(node.op), name, node.attr[name]):
                    changed[node.op, name] = changed.get((node.op, name), 0) + 1
                del node.attr[name]
    return [
        f"The attribute '{name}' of {count} {op} node(s) is not known here and was left out."
        for (op, name), count in changed.items()
    ]


def make_explicit(graph: Graph) -> None:
    """Write, in place, into each node what is meant where it says nothing."""
    _write_shapes(graph)
    _write_defaults(graph)


def _write_shapes(graph: Graph) -> None:
    """Write, in place, into each placeholder the shape that it accepts.

    Until GraphDef version 21 a shape went into the node only if all of it was known, and an empty
    one meant any. Meta graphs carry what Python knew beside it.
    """
    if graph.producer > _LAST_WITH_LEGACY_SHAPES:
        return
    for node in graph:
        if node.op != "Placeholder" or node.attr["shape"].shape.dim:
            continue
        known = node.attr["_output_shapes"].list.shape if "_output_shapes" in node.attr else []
        if known:
            node.attr["shape"].shape.CopyFrom(known[0])
        else:
            node.attr["shape"].shape.unknown_rank = True


def _write_defaults(graph: Graph) -> None:
    """Write, in place, every attribute that is left out because it has its default.

    Meta graphs of estimators and of TensorFlow 2 leave these out, and TensorFlow's importer puts
    them back. A node that is looked at or changed before needs them too: `is_training` of a batch
    normalisation is true where it is not written.
    """
    bodies = [function.node_def for function in graph.functions.values()]
    for nodes in [list(graph), *bodies]:
        for node in nodes:
            definition = op_def(node.op)
            for attr in definition.attr if definition is not None else ():
                if attr.HasField("default_value") and attr.name not in node.attr:
                    node.attr[attr.name].CopyFrom(attr.default_value)


def strip_places(graph_def: Any) -> None:
    """Remove, in place, where nodes ran and beside what: that machine is not this one."""
    bodies = [function.node_def for function in graph_def.library.function]
    for nodes in [graph_def.node, *bodies]:
        for node in nodes:
            node.device = ""
            node.attr.pop("_class", None)


def strip_notes(graph: Graph) -> None:
    """Remove, in place, what only tells a runtime where and how to run: devices and `_names`.

    A finished graph has no calls left, so that nothing in it depends on such a note.
    """
    for node in graph:
        node.device = ""
        for name in [name for name in node.attr if name.startswith("_")]:
            del node.attr[name]


def _unknown(node: Any) -> list[str]:
    definition = op_def(node.op)
    if definition is None:
        return []
    known = {attr.name for attr in definition.attr}
    # Names that begin with an underscore are notes to the runtime; most are about places.
    return [
        name
        for name in node.attr
        if name not in known and (not name.startswith("_") or name == "_output_shapes")
    ]


def _is_default(definition: Any, name: str, value: Any) -> bool:
    if name == "_output_shapes":
        return True
    if definition is None:
        return False
    return any(
        attr.name == name and attr.HasField("default_value") and attr.default_value == value
        for attr in definition.attr
    )

"""Variables become constants, whatever kind they are and whichever way they are read."""

from typing import Any

import tensorflow as tf

from freezing.graph.graph import (
    CONTROL_FLOW_OPS,
    VARIABLE_OPS,
    Endpoint,
    Graph,
    base_type,
    const_node,
    make_identity,
)
from freezing.sources.source import Value

_INITIALIZED_OPS = frozenset({"IsVariableInitialized", "VarIsInitializedOp"})
# Ops that hand the handle of a variable on, with its dtype in `T`.
_HANDING_ON = frozenset({"Identity"}) | CONTROL_FLOW_OPS
_GATHERS = {"ResourceGather": "GatherV2", "ResourceGatherNd": "GatherNd"}


def convert_variables(graph: Graph, values: dict[str, Value]) -> None:
    """Replace, in place, each variable of the graph by a Const of its value.

    Values are taken out of `values` as they go into the graph, so that none is held twice.
    Reads become Identity nodes of the same name; gathers and shapes are rewritten to what they
    answer. An op that changes a variable is left as it is, to be refused.
    """
    handles = handles_of(graph, frozenset({"VarHandleOp"}))
    for name, variable in handles.items():
        set_dtype(graph.nodes[name], graph.nodes[variable].attr["dtype"].type)
    for node in list(graph):
        if node.op in VARIABLE_OPS or not node.input:
            continue
        first = graph.inputs(node.name)[0]
        variable = first.node if first.node in values else handles.get(first.node, "")
        if variable in values:
            _rewrite_read(graph, node, first, values[variable])
    for name in list(values):
        dtype = base_type(graph.nodes[name].attr["dtype"].type)
        graph.nodes[name] = const_node(name, values.pop(name).array, dtype)
    for node in graph:
        if node.op.startswith("Ref") and node.op.removeprefix("Ref") in _HANDING_ON:
            node.op = node.op.removeprefix("Ref")
            node.attr["T"].type = base_type(node.attr["T"].type)


def answer_initialised(graph: Graph) -> None:
    """Say, in place, to whatever asks if a variable is initialised that it is: it will be read."""
    for node in graph:
        if node.op in _INITIALIZED_OPS:
            _become(graph, node, const_node(node.name, True))


def variables_needed(graph: Graph) -> list[Any]:
    """Return the graph's variable nodes, in order."""
    return [node for node in graph if node.op in VARIABLE_OPS]


def handles_of(graph: Graph, ops: frozenset[str]) -> dict[str, str]:
    """Return the nodes that hand on the handle of a resource of `ops`, with the resource's node."""
    found: dict[str, str] = {}
    consumers = graph.consumers()
    for node in graph:
        if node.op not in ops:
            continue
        waiting = list(consumers[node.name])
        while waiting:
            name = waiting.pop()
            taker = graph.nodes[name]
            is_handle = taker.attr["T"].type == tf.resource.as_datatype_enum
            if name in found or taker.op not in _HANDING_ON or not is_handle:
                continue
            found[name] = node.name
            waiting.extend(consumers[name])
    return found


def set_dtype(node: Any, dtype: int) -> None:
    """Let a node that hands a handle on hand on something of the type `dtype` instead."""
    dtype = base_type(dtype)
    for name in [name for name in node.attr if name.startswith("_")]:
        del node.attr[name]
    node.attr["T"].type = dtype


def _rewrite_read(graph: Graph, node: Any, handle: Endpoint, value: Value) -> None:
    if node.op == "ReadVariableOp":
        make_identity(node, handle, node.attr["dtype"].type)
    elif node.op == "VariableShape":
        dtype = node.attr["out_type"].type if "out_type" in node.attr else 3
        _become(graph, node, const_node(node.name, list(value.array.shape), dtype))
    elif node.op in _GATHERS:
        _become_gather(graph, node)


def _become(graph: Graph, node: Any, other: Any) -> None:
    """Put `other` in the node's place; it still runs after what the node ran after."""
    # What a Const takes as data would not import; as a control dependency it keeps the Const in
    # its branch or loop.
    other.input.extend(dict.fromkeys("^" + Endpoint.parse(text).node for text in node.input))
    graph.nodes[node.name] = other


def _become_gather(graph: Graph, node: Any) -> None:
    dtype, indices = node.attr["dtype"].type, node.attr["Tindices"].type
    batch_dims = node.attr["batch_dims"].i
    data = [text for text in node.input if not text.startswith("^")]
    after = [text for text in node.input if text.startswith("^")]
    node.op = _GATHERS[node.op]
    node.attr.clear()
    node.attr["Tparams"].type = dtype
    node.attr["Tindices"].type = indices
    if node.op == "GatherV2":
        # ResourceGather gathers along the first dimension after the batch dimensions.
        axis = const_node(graph.unused_name(f"{node.name}/axis"), batch_dims, 3)
        # In the frame and branch of the indices.
        axis.input.append("^" + Endpoint.parse(data[1]).node)
        graph.nodes[axis.name] = axis
        node.attr["Taxis"].type = 3
        node.attr["batch_dims"].i = batch_dims
        data.append(axis.name)
    del node.input[:]
    node.input.extend([*data, *after])

"""Graphs in which constants took the place of variables, and what used these stayed as it was.

`convert_variables_to_constants` of TensorFlow 1 rewrote reads and nothing else: branches that
handed a variable on (`RefSwitch`) and updates of moving averages (`AssignSub`) got constants, which
TensorFlow refuses to import ("was passed float from ... incompatible with expected float_ref").
Graphs with resource variables are left with reads of what is no handle. What such nodes mean for
a value that nobody changes is certain: they hand it on, or give what the update would have given.
"""

from typing import Any

import tensorflow as tf

from freezing.graph.graph import (
    VARIABLE_OPS,
    Endpoint,
    base_type,
    const_node,
    make_identity,
    op_def,
    output_types,
)

_REF = "Ref"
_HANDING_ON = frozenset({"Switch", "Merge", "Identity", "Enter", "Exit", "NextIteration"})
_ARITHMETIC = {"AssignAdd": "AddV2", "AssignSub": "Sub"}
_ASKING = frozenset({"IsVariableInitialized", "VarIsInitializedOp"})
_RESOURCE = tf.resource.as_datatype_enum


def mend_leftovers(graph_def: Any) -> int:
    """Let, in place, what expects a variable and gets a value take the value; return how many.

    Whatever gets a variable stays as it is.
    """
    nodes = {node.name: node for node in graph_def.node}
    givers = _givers(graph_def)
    mended = 0
    changed = True
    while changed:  # a type that was mended is handed on
        changed = False
        for node in graph_def.node:
            given = nodes.get(_first(node))
            if given is None or given.name in givers or node.name in givers:
                continue
            if _mend(node, given):
                mended += 1
                changed = True
    return mended


def _givers(graph_def: Any) -> set[str]:
    """Return the nodes that give a variable or another resource, and those that hand one on."""
    found = {node.name for node in graph_def.node if _is_giver(node)}
    passing = [node for node in graph_def.node if _hands_on(node)]
    grows = True
    while grows:
        grows = False
        for node in passing:
            data = [Endpoint.parse(text).node for text in node.input if not text.startswith("^")]
            if node.name not in found and not found.isdisjoint(data):
                found.add(node.name)
                grows = True
    return found


def _is_giver(node: Any) -> bool:
    """Whether the node gives a variable that is its own; what is not known may."""
    definition = op_def(node.op)
    if definition is None or node.op in VARIABLE_OPS:
        return True
    if node.op.removeprefix(_REF) in _HANDING_ON or _hands_on(node):
        return False
    if any(argument.is_ref for argument in definition.output_arg):
        return True
    return _RESOURCE in (output_types(node) or [])


def _hands_on(node: Any) -> bool:
    if node.op == "Assign" or node.op in _ARITHMETIC:
        return True
    if node.op.startswith(_REF):
        return node.op.removeprefix(_REF) in _HANDING_ON
    return node.op in _HANDING_ON and node.attr["T"].type == _RESOURCE


def _first(node: Any) -> str:
    """Return the node that gives the first input; "" where there is none with data."""
    if not node.input or node.input[0].startswith("^"):
        return ""
    return Endpoint.parse(node.input[0]).node


def _mend(node: Any, given: Any) -> bool:
    """Rewrite the node for a value that it takes in place of a variable; whether it did."""
    definition = op_def(node.op)
    if node.op.removeprefix(_REF) in _HANDING_ON:
        return _mend_handing_on(node, given)
    if node.op in _ARITHMETIC:
        node.op = _ARITHMETIC[node.op]
        _keep_type(node)
    elif node.op == "Assign" and len(node.input) > 1:  # gives what it would have assigned
        source = Endpoint.parse(node.input[1])
        _after(node, node.input[0])
        make_identity(node, source, node.attr["T"].type)
    elif node.op in _ASKING:
        _replace(node, const_node(node.name, True))
    elif node.op == "ReadVariableOp":
        make_identity(node, Endpoint.parse(node.input[0]), node.attr["dtype"].type)
    elif definition is not None and _changes_resource(definition):  # an update of nothing
        _replace(node, tf.compat.v1.NodeDef(name=node.name, op="NoOp"))
    else:
        return False
    return True


def _changes_resource(definition: Any) -> bool:
    first = definition.input_arg[0].type if definition.input_arg else None
    return first == _RESOURCE and not definition.output_arg


def _replace(node: Any, other: Any) -> None:
    """Put `other` in the node's place; it still runs after what the node ran after."""
    other.input.extend(dict.fromkeys("^" + Endpoint.parse(text).node for text in node.input))
    node.CopyFrom(other)


def _mend_handing_on(node: Any, given: Any) -> bool:
    is_reference = node.op.startswith(_REF)
    dtype = base_type(node.attr["T"].type)
    types = output_types(given)
    index = Endpoint.parse(node.input[0]).output
    if dtype == _RESOURCE and types is not None and 0 <= index < len(types):
        dtype = base_type(types[index])
    if not is_reference and dtype == node.attr["T"].type:
        return False
    node.op = node.op.removeprefix(_REF)
    node.attr["T"].type = dtype
    return True


def _keep_type(node: Any) -> None:
    dtype = base_type(node.attr["T"].type)
    node.attr.clear()
    node.attr["T"].type = dtype


def _after(node: Any, text: str) -> None:
    """Let the node run after what gives one of its inputs, which it no longer takes."""
    control = "^" + Endpoint.parse(text).node
    if control not in node.input:
        node.input.append(control)

"""Moving averages that a training graph keeps: which variable follows which tensor.

That is read from the nodes that move it, in the forms that TensorFlow's libraries write:

    average -= (average - new) * rate        tf.train, tf.layers, slim; with `new` divided by
                                             1 - decay^steps where they take off the bias
    average += (new - average) * rate
    average  = average * decay + new * rate  Keras 3, and by hand
    average  = FusedBatchNorm(..., average)  Keras 2, which mixes inside the op
"""

from dataclasses import dataclass, replace
from typing import Any

from freezing.graph.graph import VARIABLE_OPS, Endpoint, Graph

FUSED = frozenset({"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"})
_SUBTRACTING = frozenset({"AssignSub", "AssignSubVariableOp"})
_ADDING = frozenset({"AssignAdd", "AssignAddVariableOp"})
_SETTING = frozenset({"Assign", "AssignVariableOp"})
_UPDATES = _SUBTRACTING | _ADDING | _SETTING
_SUMS = frozenset({"Add", "AddV2"})
_DIVISIONS = frozenset({"RealDiv", "Div"})
_HANDING_ON = frozenset({"Identity", "RefIdentity", "StopGradient", "Switch", "RefSwitch"})
_READS = _HANDING_ON | {"ReadVariableOp"}
_OPERANDS = 2  # of a sum, a difference, a product or a quotient
_DEEPEST = 100  # nodes that hand something on, one behind the other


@dataclass(frozen=True, kw_only=True)
class Average:
    """A variable that follows a tensor."""

    variable: str
    follows: Endpoint
    update: str  # the node that moves it


def averages(graph: Graph) -> list[Average]:
    """Return the moving averages that the graph keeps, of whatever."""
    found: dict[str, Average] = {}
    others: list[tuple[Any, str, Endpoint]] = []
    for node in graph:
        inputs = graph.data_inputs(node.name)
        if node.op not in _UPDATES or len(inputs) < 2:
            continue
        variable = _variable(graph, inputs[0])
        if variable is None:
            continue
        followed = _followed(graph, node, variable, inputs[1])
        if followed is None:
            others.append((node, variable, _origin(graph, inputs[1])))
        else:
            found[node.name] = Average(variable=variable, follows=followed, update=node.name)
    for node, variable, value in others:
        biased = _biased(graph, found, node, variable, value)
        if biased is not None and biased.variable != variable:
            found[node.name] = replace(biased, variable=variable, update=node.name)
            found.pop(biased.update, None)
    return list(found.values())


def _variable(graph: Graph, end: Endpoint) -> str | None:
    """Return the variable that the tensor is, or is read from."""
    name = _behind(graph, end, _READS).node
    return name if name in graph and graph.nodes[name].op in VARIABLE_OPS else None


def _origin(graph: Graph, end: Endpoint) -> Endpoint:
    """Return the tensor that is handed on as this one."""
    return _behind(graph, end, _HANDING_ON)


def _behind(graph: Graph, end: Endpoint, ops: frozenset[str]) -> Endpoint:
    for _ in range(_DEEPEST):
        if end.node not in graph or graph.nodes[end.node].op not in ops:
            break
        inputs = graph.data_inputs(end.node)
        if not inputs:
            break
        end = inputs[0]
    return end


def _followed(graph: Graph, update: Any, variable: str, value: Endpoint) -> Endpoint | None:
    """Return what the variable follows with this update; None where it is no moving average."""
    value = _origin(graph, value)
    if update.op in _SUBTRACTING | _ADDING:
        return _of_difference(graph, variable, value, first=update.op in _SUBTRACTING)
    node = graph.nodes.get(value.node)
    if node is None:
        return None
    inputs = [_origin(graph, end) for end in graph.data_inputs(value.node)]
    if node.op in FUSED and value.output in (1, 2) and len(inputs) > 4:
        mixes = 0 < node.attr["exponential_avg_factor"].f < 1
        is_own = _variable(graph, inputs[2 + value.output]) == variable
        return value if mixes and is_own else None
    if len(inputs) != _OPERANDS:
        return None
    if node.op == "Sub" and _variable(graph, inputs[0]) == variable:
        return _of_difference(graph, variable, inputs[1], first=True)
    return _of_sum(graph, variable, inputs) if node.op in _SUMS else None


def _of_sum(graph: Graph, variable: str, inputs: list[Endpoint]) -> Endpoint | None:
    """Return what is new in `variable + (new - variable) * rate`, or `variable * a + new * b`."""
    for one, other in (inputs, inputs[::-1]):
        if _variable(graph, one) == variable:
            return _of_difference(graph, variable, other, first=False)
        rest = graph.nodes.get(other.node)
        if _is_multiple(graph, one, variable) and rest is not None and rest.op == "Mul":
            return _not_rate(graph, other.node)
    return None


def _of_difference(graph: Graph, variable: str, value: Endpoint, *, first: bool) -> Endpoint | None:
    """Return what the variable is compared with in `(variable - new) * rate`, or the other way."""
    node = graph.nodes.get(value.node)
    if node is None or node.op != "Mul":
        return None
    for end in graph.data_inputs(node.name):
        origin = _origin(graph, end)
        inner = graph.nodes.get(origin.node)
        if inner is None or inner.op != "Sub":
            continue
        ends = graph.data_inputs(inner.name)
        if len(ends) != _OPERANDS:
            continue
        own, new = ends if first else ends[::-1]
        if _variable(graph, own) == variable and _variable(graph, new) != variable:
            return _origin(graph, new)
    return None


def _is_multiple(graph: Graph, end: Endpoint, variable: str) -> bool:
    """Whether the tensor is the variable times something."""
    node = graph.nodes.get(end.node)
    if node is None or node.op != "Mul":
        return False
    return any(_variable(graph, inner) == variable for inner in graph.data_inputs(node.name))


def _not_rate(graph: Graph, product: str) -> Endpoint | None:
    """Return the factor that is not the rate: a scalar constant, or 1 less something."""
    ends = [_origin(graph, end) for end in graph.data_inputs(product)]
    others = [end for end in ends if not _is_rate(graph, end)]
    return others[0] if len(others) == 1 else None


def _is_rate(graph: Graph, end: Endpoint) -> bool:
    node = graph.nodes.get(end.node)
    if node is not None and node.op == "Sub":
        ends = graph.data_inputs(node.name)
        node = graph.nodes.get(_origin(graph, ends[0]).node) if ends else None
    if node is None or node.op != "Const":
        return False
    return not node.attr["value"].tensor.tensor_shape.dim


def _biased(
    graph: Graph, found: dict[str, Average], update: Any, variable: str, value: Endpoint
) -> Average | None:
    """Return the average that the update divides to take off its bias, if it does that."""
    node = graph.nodes.get(value.node)
    ends = [] if node is None else graph.data_inputs(node.name)
    if len(ends) != _OPERANDS:
        return None
    if update.op in _SUBTRACTING and node is not None and node.op == "Sub":
        own, rest = (_origin(graph, end) for end in ends)
        node = graph.nodes.get(rest.node) if _variable(graph, own) == variable else None
    elif update.op not in _SETTING:
        return None
    if node is None or node.op not in _DIVISIONS:
        return None
    above = _origin(graph, next(iter(graph.data_inputs(node.name)), value))
    inner = _variable(graph, above)
    return next(
        (one for one in found.values() if one.update == above.node or one.variable == inner), None
    )

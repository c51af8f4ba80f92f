"""What the numbers of a tensor are, told from how the graph computes them.

An answer is what a network ends in. Behind its last layer, or behind what squashes that layer's
numbers, ops only carry numbers on or combine them: the squashed tensors and the layers that are
reached first, going back from a tensor through such ops, say what it holds. A sigmoid that opens a
gate is reached together with what it opens; the members of an ensemble are reached all together.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import tensorflow as tf

from freezing.graph.flow import Flow
from freezing.graph.formulas import written_out
from freezing.graph.graph import Endpoint, Graph, called_functions, output_types


class Content(StrEnum):
    """What the numbers of a tensor are."""

    SOFTMAX = "softmax"  # one probability per class
    LOG_SOFTMAX = "log softmax"  # their logarithms
    SIGMOID = "sigmoid"  # independent probabilities
    LINEAR = "linear"  # of a last layer, without activation
    ACTIVATION = "activation"  # what an activation lets through, or a gate
    UNIT = "unit"  # a vector of length 1: an embedding
    DETECTIONS = "detections"  # chosen by non-maximum suppression


SQUASHED = frozenset({Content.SOFTMAX, Content.SIGMOID, Content.LOG_SOFTMAX})

_SQUASHES = {
    "Softmax": Content.SOFTMAX,
    "Sigmoid": Content.SIGMOID,
    "LogSoftmax": Content.LOG_SOFTMAX,
    "L2Normalize": Content.UNIT,
}
_ACTIVATIONS = frozenset(
    {"Relu", "Relu6", "Elu", "Selu", "LeakyRelu", "Tanh", "Softplus", "Softsign", "Erf", "Erfc"}
    | {"QuantizedRelu", "QuantizedRelu6"}
)
_SUPPRESSING = ("NonMaxSuppression", "CombinedNonMaxSuppression")  # how the ops' names begin
# What leaves numbers as they are, and only lays them out anew or picks some.
_CARRYING = frozenset(
    {"Identity", "IdentityN", "Reshape", "Squeeze", "ExpandDims", "Cast", "StopGradient"}
    | {"CheckNumerics", "Snapshot", "PreventGradient", "EnsureShape", "Transpose", "Print", "Copy"}
    | {"Enter", "Exit", "Merge", "Switch", "NextIteration", "RefIdentity", "RefSwitch", "RefMerge"}
    | {"RefEnter", "RefExit", "RefNextIteration", "StridedSlice", "Slice", "GatherV2", "Gather"}
    | {"Unpack", "Split", "SplitV", "BroadcastTo", "Tile", "PlaceholderWithDefault", "Bitcast"}
    | {"BatchToSpaceND", "SpaceToBatchND", "Reverse", "ReverseV2", "Pad", "PadV2", "MirrorPad"}
)
_SEVERAL = frozenset({"Merge", "RefMerge"})  # carry one of their inputs
_REDUCING = frozenset({"Mean", "Sum", "Max", "Min", "Prod", "EuclideanNorm", "All", "Any"})
_DECIDING = frozenset(
    {"Round", "Rint", "Floor", "Ceil", "Sign", "ArgMax", "ArgMin", "TopK", "TopKV2", "Bucketize"}
    | {"Greater", "GreaterEqual", "Less", "LessEqual", "Equal", "NotEqual", "Where", "IsNan"}
)
# Element by element, or several tensors put together.
_COMBINING = frozenset(
    {"Add", "AddV2", "AddN", "AccumulateNV2", "Sub", "Mul", "RealDiv", "Div", "DivNoNan", "Pow"}
    | {"Maximum", "Minimum", "Pack", "ConcatV2", "Concat", "Select", "SelectV2", "MulNoNan"}
    | {"Log", "Log1p", "Exp", "Expm1", "Neg", "Sqrt", "Rsqrt", "Square", "Abs", "Reciprocal", "Inv"}
    | {"SquaredDifference", "Xdivy", "Xlogy", "ClipByValue", "BiasAdd", "BiasAddV1", "L2Loss"}
    | {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "AvgPool", "MaxPool", "Cumsum"}
)
_THROUGH = _CARRYING | _REDUCING | _DECIDING | _COMBINING
_PRODUCTS = frozenset({"MatMul", "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum"})


@dataclass(kw_only=True)
class Trace:
    """What is met first on the way back from a tensor."""

    sources: dict[str, Content] = field(default_factory=dict)  # by their nodes
    carries: bool = True  # all that lies between only carries numbers on
    reduces: bool = False
    decides: bool = False  # something between makes whole numbers or yes and no of them
    weighs: bool = False  # something between multiplies by a constant for each class
    mixes: bool = False  # something between is a product of squashed numbers with such

    def note(self, op: str, *, whole: bool, weighed: bool) -> None:
        """Take note of a node between."""
        self.carries &= op in _CARRYING
        self.reduces |= op in _REDUCING
        self.decides |= op in _DECIDING or whole
        self.weighs |= weighed

    @property
    def squashed(self) -> bool:
        """Whether nothing but squashed numbers is met."""
        return bool(self.sources) and SQUASHED.issuperset(self.sources.values())

    @property
    def content(self) -> Content:
        """What the tensor holds."""
        kinds = set(self.sources.values())
        for kind in (Content.DETECTIONS, Content.ACTIVATION):
            if kind in kinds:
                return kind
        if kinds <= {Content.LINEAR} or kinds == {Content.LINEAR, Content.SOFTMAX}:
            return Content.LINEAR  # also of experts, each by its share
        if kinds == {Content.SOFTMAX, Content.SIGMOID}:  # each times how sure it is at all
            return Content.SIGMOID
        return kinds.pop() if len(kinds) == 1 else Content.ACTIVATION


class Contents:
    """Tells what tensors of one graph hold."""

    def __init__(self, flow: Flow) -> None:
        self._graph = flow.graph
        self._flow = flow
        self._known: dict[Endpoint, Trace] = {}
        chosen = [node.name for node in flow.graph if node.op.startswith(_SUPPRESSING)]
        self._detections = flow.graph.descendants(chosen) if chosen else set()

    def trace(self, end: Endpoint) -> Trace:
        """Return what is met on the way back from a tensor."""
        if end not in self._known:
            found = self._known[end] = self._traced(end)
            if end.node in self._detections:
                found.sources = dict.fromkeys(found.sources or [end.node], Content.DETECTIONS)
        return self._known[end]

    def _traced(self, end: Endpoint) -> Trace:
        found = Trace()
        waiting, seen = [end], set()
        while waiting:
            end = waiting.pop()
            if end in seen:
                continue
            seen.add(end)
            op = str(self._graph.nodes[end.node].op)
            content = self._source(end.node)
            if content is None and op in _PRODUCTS:
                mixed = self._mixture(end)
                found.mixes |= mixed is not None
                found.sources |= mixed or {end.node: Content.LINEAR}
            elif content is not None or op not in _THROUGH:
                # A layer, or what is no part of a network.
                found.sources[end.node] = content or Content.LINEAR
            else:
                found.note(op, whole=self._is_whole(end), weighed=self._is_weighed(end))
                waiting.extend(self._data(end))
        return found

    def _source(self, name: str) -> Content | None:
        """Return what the node makes of a layer's numbers, where it does not just hand them on."""
        op = str(self._graph.nodes[name].op)
        if op in _ACTIVATIONS:
            return Content.ACTIVATION
        return _SQUASHES.get(op) or _SQUASHES.get(written_out(self._graph, name) or "")

    def _mixture(self, end: Endpoint) -> dict[str, Content] | None:
        """Return what a product of two tensors mixes, where both hold squashed numbers only."""
        traces = [self.trace(one) for one in self._data(end)]
        if len(traces) < 2 or not all(trace.squashed for trace in traces):
            return None
        return {name: content for trace in traces for name, content in trace.sources.items()}

    def _data(self, end: Endpoint) -> list[Endpoint]:
        """Return those inputs of a tensor's node that data reaches."""
        op, ends = self._graph.nodes[end.node].op, self._graph.data_inputs(end.node)
        if op == "IdentityN":
            ends = ends[end.output : end.output + 1]
        elif op in _CARRYING and op not in _SEVERAL:  # further inputs say how to lay out
            ends = ends[:1]
        elif op in ("Select", "SelectV2"):
            ends = ends[1:]
        return [one for one in ends if self._flow.reaching(one.node)]

    def _is_weighed(self, end: Endpoint) -> bool:
        """Whether the node multiplies by a constant for each class."""
        if self._graph.nodes[end.node].op not in ("Mul", "MulNoNan"):
            return False
        fixed = [
            self._graph.nodes[one.node]
            for one in self._graph.data_inputs(end.node)
            if not self._flow.reaching(one.node)
        ]
        return any(
            node.op != "Const" or any(side.size > 1 for side in _sides(node)) for node in fixed
        )

    def _is_whole(self, end: Endpoint) -> bool:
        types = output_types(self._graph.nodes[end.node]) or []
        if end.output >= len(types) or not types[end.output]:
            return False
        return not tf.as_dtype(types[end.output]).base_dtype.is_floating


def _sides(node: Any) -> Any:
    return node.attr["value"].tensor.tensor_shape.dim


def has_suppression(graph: Graph) -> bool:
    """Whether non-maximum suppression is in the graph or in a function that it calls."""
    called = called_functions(graph, graph.functions)
    scopes = [graph, *(graph.functions[name].node_def for name in called)]
    return any(node.op.startswith(_SUPPRESSING) for nodes in scopes for node in nodes)

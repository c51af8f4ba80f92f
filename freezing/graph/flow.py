"""What flows where in a graph: which inputs reach a node, and which of these are labels.

An input is a placeholder, or what an input pipeline or a decoder gives. Labels are told from data
by what they meet: data is put through weights, labels only meet what came out of them.
"""

import math
from typing import Any

from freezing.graph.graph import PLACEHOLDER_OPS, VARIABLE_OPS, Endpoint, Graph, output_types
from freezing.graph.roles import roles
from freezing.graph.suggestions import suggested_value

DECODERS = frozenset(
    {"DecodeJpeg", "DecodePng", "DecodeImage", "DecodeGif", "DecodeBmp", "DecodeWebP"}
    | {"DecodeAndCropJpeg", "DecodeRaw", "DecodePaddedRaw", "DecodeCSV"}
)
PARSERS = frozenset({"ParseExample", "ParseExampleV2", "ParseSingleExample"})
# They tell of a tensor's shape, not of what is in it.
_SHAPE_OPS = frozenset({"Shape", "ShapeN", "Size", "Rank", "OnesLike", "ZerosLike"})
# What hands a variable on as it is.
_READS = frozenset(
    {"Identity", "ReadVariableOp", "Cast", "Reshape", "Transpose", "Enter", "RefEnter", "Switch"}
    | {"RefSwitch", "Squeeze", "ExpandDims", "StopGradient", "Dequantize", "RefIdentity"}
    | {"Concat", "ConcatV2", "FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxArgs"}
)
_ASSIGNS = ("Assign", "Apply", "Scatter", "ResourceApply", "Save", "Restore")


class Flow:
    """Which inputs reach which nodes of a graph."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.kinds = roles(graph)
        self.consumers = graph.consumers()
        self._bits = self._inputs()
        self._reaching = self._propagate()
        self.weights = self._weights()
        met = self._meeting_weights()
        switches = self._switches()
        self._labels = ~(met | switches) if met else 0
        self._data = ~(self._labels | switches)
        if not any(mask & self._data for mask in self._bits.values()):
            self._data = ~self._labels  # a network of scalars has nothing else

    @property
    def inputs(self) -> list[Endpoint]:
        """Everything through which data or labels come in, in the graph's order."""
        return list(self._bits)

    def is_label(self, end: Endpoint) -> bool:
        """Whether an input meets only what has come out of the weights."""
        return bool(self._bits[end] & self._labels)

    def reaching(self, name: str) -> list[Endpoint]:
        """Return the inputs that the node depends on."""
        mask = self._reaching[name]
        return [end for end, bit in self._bits.items() if bit & mask]

    def answers(self, name: str) -> bool:
        """Whether the node is computed from data, without labels, and not for the training."""
        mask = self._reaching[name]
        fits = bool(mask & self._data) and not mask & self._labels
        return fits and self.kinds[name] == "other"

    def takes_labels(self, name: str) -> bool:
        """Whether the node depends on labels."""
        return bool(self._reaching[name] & self._labels)

    def _inputs(self) -> dict[Endpoint, int]:
        ends: list[Endpoint] = []
        for node in self.graph:
            if self.kinds[node.name] == "savers":
                continue
            if node.op in PLACEHOLDER_OPS:
                ends.append(Endpoint(node.name, 0))
            elif gives_data(node.op):
                count = len(output_types(node) or [0])
                ends.extend(Endpoint(node.name, number) for number in range(count))
        return {end: 1 << number for number, end in enumerate(ends)}

    def _propagate(self) -> dict[str, int]:
        own: dict[str, int] = {}
        for end, bit in self._bits.items():
            own[end.node] = own.get(end.node, 0) | bit
        found = dict.fromkeys(self.graph.nodes, 0)
        changed = True
        while changed:  # once more than loops are deep, since most graphs are in order
            changed = False
            for node in self.graph:
                mask = own.get(node.name, 0)
                if node.op not in _SHAPE_OPS:
                    for end in self.graph.data_inputs(node.name):
                        mask |= self._mask(end, found, own)
                if mask != found[node.name]:
                    found[node.name] = mask
                    changed = True
        return found

    def _mask(self, end: Endpoint, found: dict[str, int], own: dict[str, int]) -> int:
        """Return what reaches a tensor: of several outputs of an input, only the one taken."""
        mask = found.get(end.node, 0)
        if end in self._bits:
            mask = mask & ~own[end.node] | self._bits[end]
        return mask

    def _weights(self) -> set[str]:
        """Return variables, large constants, and the nodes that hand them on.

        One number is a weight only where there is nothing larger, as in a regression of one.
        """
        large = {node.name for node in self.graph if _is_large(node)}
        found = large or {node.name for node in self.graph if node.op in VARIABLE_OPS}
        for node in self.graph:
            if node.op in _READS:
                inputs = self.graph.data_inputs(node.name)
                if inputs and inputs[0].node in found:
                    found.add(node.name)
        return found

    def _meeting_weights(self) -> int:
        met = 0
        for node in self.graph:
            if self.kinds[node.name] != "other" or node.op.startswith(_ASSIGNS):
                continue
            ends = self.graph.data_inputs(node.name)
            if node.name not in self.weights and any(end.node in self.weights for end in ends):
                met |= self._reaching[node.name]
        return met

    def _switches(self) -> int:
        mask = 0
        for end, bit in self._bits.items():
            node = self.graph.nodes[end.node]
            if node.op in PLACEHOLDER_OPS and suggested_value(node) is not None:
                mask |= bit
        return mask


def gives_data(op: str) -> bool:
    """Whether nodes of this op give what an input pipeline or a file holds."""
    in_pipeline = "Dequeue" in op or op.startswith(("IteratorGetNext", "ReaderRead", "Unstage"))
    return in_pipeline or op in DECODERS or op in PARSERS


def _is_large(node: Any) -> bool:
    """Whether a node holds what a layer may have; one number mostly counts or averages."""
    if node.op not in VARIABLE_OPS:
        return node.op == "Const" and _is_weight(node)
    shape = node.attr["shape"].shape if "shape" in node.attr else None
    return shape is None or shape.unknown_rank or bool(shape.dim)


def _is_weight(node: Any) -> bool:
    tensor = node.attr["value"].tensor
    sides = [side.size for side in tensor.tensor_shape.dim]
    is_float = tensor.dtype in (1, 2, 14, 19)  # float32, float64, bfloat16, float16
    is_quantized = tensor.dtype in (4, 6, 11, 12, 13)  # 8-bit integers, and quantized ones
    return (is_float or is_quantized) and math.prod(sides) > 1

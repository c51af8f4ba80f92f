"""Cutting an ONNX model in two where its heavy weights begin.

The values between convolutions grow with the images of a run, so convolutions are fastest for few
images. A matrix of several MB is read once for each run, so it costs each image less the more there
are. A network of convolutions followed by such a matrix is therefore faster in two parts, each run
with the number of images that is best for it. The answers are the same.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

HEAVY_BYTES = 1024 * 1024  # of one matrix: about what a processor's core has as its own cache
# A model is in memory three times while it is cut, and what is larger has its time in the matrices.
LARGEST_BYTES = 128 * 1024 * 1024

_OF_MATRICES = ("MatMul", "Gemm")


class Parts(NamedTuple):
    """A model in two parts, serialised, and the tensor between them."""

    first: bytes
    second: bytes
    between: str


def cut(content: bytes, source: str, outputs: Sequence[str]) -> Parts | None:
    """Return a serialised model in two parts, or None where that would not be faster.

    The first has convolutions and takes `source`; the second begins with a heavy matrix, needs
    nothing else of the first than one tensor, and gives `outputs`. Whether that tensor has a row
    for each image, the caller has to check.
    """
    if not HEAVY_BYTES < len(content) <= LARGEST_BYTES:
        return None
    import onnx  # noqa: PLC0415 - costs memory, and small models do without

    try:
        model = onnx.ModelProto.FromString(content)
    except Exception:  # protobuf's, of which the class depends on its implementation
        return None  # the runtime says what is wrong with it
    heavy = _first_heavy(model.graph)
    if heavy is None or model.functions or any(map(_has_body, model.graph.node)):
        return None
    between, kind = heavy
    first = _needed(model.graph, [between], without=[])
    second = _needed(model.graph, outputs, without=[between])
    if source in _inputs(second) or not any(node.op_type == "Conv" for node in first):
        return None
    return Parts(
        _part(model, first, [source], [between], kind),
        _part(model, second, [between], outputs, kind),
        between,
    )


def _first_heavy(graph: Any) -> tuple[str, int] | None:
    """Return what the first heavy matrix is multiplied with, and the type of both."""
    heavy = {
        weights.name: weights.data_type
        for weights in graph.initializer
        if len(weights.dims) == 2 and weights.ByteSize() >= HEAVY_BYTES
    }
    for node in graph.node:
        if node.op_type in _OF_MATRICES and node.input[1] in heavy:
            return node.input[0], heavy[node.input[1]]
    return None


def _needed(graph: Any, targets: Iterable[str], *, without: Collection[str]) -> list[Any]:
    """Return the nodes, in order, from which `targets` come if those `without` are given."""
    wanted, nodes = set(targets), []
    for node in reversed(graph.node):  # which stand behind those that they depend on
        if any(name in wanted and name not in without for name in node.output):
            nodes.append(node)
            wanted.update(node.input)
    return nodes[::-1]


def _inputs(nodes: Iterable[Any]) -> set[str]:
    return {name for node in nodes for name in node.input}


def _has_body(node: Any) -> bool:
    """Tell whether it has a body, which may use tensors that are not among its inputs."""
    return any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)


def _part(
    model: Any, nodes: list[Any], inputs: Sequence[str], outputs: Sequence[str], kind: int
) -> bytes:
    """Return a model of some of the nodes; what is not known of their tensors has a type `kind`."""
    from onnx import helper  # noqa: PLC0415

    graph, used = model.graph, _inputs(nodes)
    known = {value.name: value for value in (*graph.input, *graph.output)}

    def value(name: str) -> Any:
        return known.get(name) or helper.make_tensor_value_info(name, kind, None)

    part = helper.make_graph(
        nodes,
        graph.name,
        [value(name) for name in inputs],
        [value(name) for name in outputs],
        initializer=[weights for weights in graph.initializer if weights.name in used],
    )
    imports = list(model.opset_import)
    made = helper.make_model(part, ir_version=model.ir_version, opset_imports=imports)
    return bytes(made.SerializeToString())

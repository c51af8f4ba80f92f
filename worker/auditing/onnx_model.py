"""The audit of an ONNX model as it is served: standard operators, and everything in one file.

An ONNX file can name other files (external data), bring functions of its own, and use operators
of any domain, of which ONNX Runtime has some that load what a node names.
"""

import importlib.util
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from worker.auditing.allowed_onnx_ops import SERVED
from worker.auditing.graph_def import ForbiddenModelError
from worker.out_of_memory import is_out_of_memory

_DOMAINS = frozenset({"", "ai.onnx"})
_EXTERNAL = 1  # of TensorProto.DataLocation
_DEEPEST = 32  # graphs within graphs; a loop in a branch is two
_MESSAGES = "onnx_ml_pb2.py"


def parse(content: bytes) -> Any:
    """Return the ModelProto that the bytes hold; raise `ForbiddenModelError` where it is none."""
    try:
        return _messages().ModelProto.FromString(content)
    except Exception as error:  # protobuf's, of which the class depends on its implementation
        if is_out_of_memory(error):
            raise MemoryError from error
        raise ForbiddenModelError("The file holds no ONNX model.") from error


def audit_onnx(model: Any) -> dict[str, int]:
    """Return how many nodes of each kind a ModelProto holds.

    Raises `ForbiddenModelError` where it holds anything that may not be served.
    """
    if len(model.functions) or len(model.training_info):
        raise ForbiddenModelError("The ONNX model brings functions or a training of its own.")
    ops: Counter[str] = Counter()
    for graph in _graphs(model.graph):
        tensors = [*graph.initializer]
        for sparse in graph.sparse_initializer:
            tensors += [sparse.values, sparse.indices]
        for node in graph.node:
            ops[node.op_type] += 1
            if node.domain not in _DOMAINS or node.op_type not in SERVED:
                raise ForbiddenModelError(
                    f"The ONNX model holds '{node.name[:200]}', an operator {node.op_type[:80]} of "
                    f"the domain '{node.domain[:80]}', which is not on the list of allowed ones."
                )
            tensors += _tensors(node.attribute)
        _refuse_external(tensors)
    return dict(ops)


def _graphs(graph: Any, depth: int = 0) -> Iterator[Any]:
    """Yield the graph and those in it: branches and bodies of loops."""
    if depth > _DEEPEST:
        raise ForbiddenModelError("The ONNX model holds graphs within graphs within graphs.")
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if len(inner.node) or len(inner.initializer) or len(inner.sparse_initializer):
                    yield from _graphs(inner, depth + 1)


def _tensors(attributes: Iterable[Any]) -> Iterator[Any]:
    for attribute in attributes:
        yield from (attribute.t, *attribute.tensors)
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)


def _refuse_external(tensors: Iterable[Any]) -> None:
    for tensor in tensors:
        if tensor.data_location == _EXTERNAL or len(tensor.external_data):
            raise ForbiddenModelError(
                f"The ONNX model keeps '{tensor.name[:200]}' in another file."
            )


def _messages() -> Any:
    """Return ONNX's messages without the rest of its package, which costs time and memory."""
    package = importlib.util.find_spec("onnx")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("onnx is not installed")
    path = Path(package.submodule_search_locations[0]) / _MESSAGES
    spec = importlib.util.spec_from_file_location(f"{__name__}_messages", path)
    if spec is None or spec.loader is None:
        raise ModuleNotFoundError(f"{path} cannot be loaded")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

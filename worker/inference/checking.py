"""Auditing a version before it is loaded, for anything that must not be run.

Published versions were audited, but a worker does not rely on it: the file may have been put there
by hand, or by a system from before the audit. All of it is read, once for each load.
"""

from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.python.framework import op_def_registry

from worker.auditing.graph_def import ForbiddenModelError, audit_graph
from worker.auditing.onnx_model import audit_onnx, parse
from worker.errors import ModelUnavailableError
from worker.models.manifest import Manifest
from worker.out_of_memory import is_out_of_memory


def check(manifest: Manifest, content: bytes) -> None:
    """Raise `ModelUnavailableError` where a version's served file holds what must not be run."""
    try:
        if manifest.runtime == "onnxruntime":
            audit_onnx(parse(content))
        else:
            audit_graph(_graph_def(content), is_op=_is_op)
    except ForbiddenModelError as error:
        raise ModelUnavailableError(
            f"{manifest.name}@{manifest.version} cannot be loaded: its file may not be run. "
            f"{error.message} Freeze the model again from its source."
        ) from error


def _graph_def(content: bytes) -> GraphDef:
    try:
        return GraphDef.FromString(content)
    except Exception as error:  # protobuf's, of which the class depends on its implementation
        if is_out_of_memory(error):
            raise MemoryError from error
        raise ForbiddenModelError("Its file holds no graph.") from error


def _is_op(name: str) -> bool:
    return op_def_registry.get(name) is not None

"""The accelerated form: a frozen graph converted to ONNX and proven against its source."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy.typing as npt
import onnx
import onnxruntime
import tensorflow as tf
from tf2onnx import convert

from freezing.plan import Plan
from freezing.reasons import reason
from freezing.verify import Answers, Verification, compare
from worker.errors import FreezeError, VerificationError
from worker.inference.onnx_session import OnnxSession
from worker.settings import get_settings

SUFFIX = ".onnx"
_OPSET = 18  # the newest that tf2onnx 1.17 writes
_ADVICE = "Leave `runtime` out (--runtime tensorflow) to serve it with TensorFlow."


class NotConvertibleError(FreezeError):
    """The frozen graph has no form in ONNX that ONNX Runtime can run."""

    code = "not_convertible"


def accelerate(
    plan: Plan, graph: Path, answers: Answers, inputs: npt.NDArray[Any], tolerance: float
) -> dict[str, Any]:
    """Write the frozen graph as ONNX beside its file and return what a report says of it.

    `answers` are those of the source to `inputs`. Raises `NotConvertibleError`, and
    `VerificationError` where ONNX Runtime answers otherwise than the source.
    """
    content = _convert(plan, graph)
    path = graph.with_suffix(SUFFIX)
    path.write_bytes(content)
    verification = _verify(plan, path, answers, inputs, tolerance)
    return {
        "format": "onnx",
        "opset": _OPSET,
        "onnxruntime": onnxruntime.__version__,
        "bytes": len(content),
        "verification": asdict(verification),
    }


def _convert(plan: Plan, graph: Path) -> bytes:
    graph_def = tf.compat.v1.GraphDef()
    graph_def.ParseFromString(graph.read_bytes())
    outputs = [tensor.name for tensor in plan.outputs]
    try:
        model, _ = convert.from_graph_def(
            graph_def, input_names=[plan.input.name], output_names=outputs, opset=_OPSET
        )
        unknown = sorted({node.op_type for node in _nodes(model.graph) if not _is_known(node)})
        if not unknown:
            content: bytes = model.SerializeToString()
            return content
    except MemoryError:
        raise
    except Exception as error:  # tf2onnx has no errors of its own
        raise NotConvertibleError(
            f"tf2onnx cannot convert the frozen graph to ONNX: {reason(error)}. {_ADVICE}"
        ) from error
    ops = f"op {unknown[0]}" if len(unknown) == 1 else f"ops {', '.join(unknown)}"
    raise NotConvertibleError(f"ONNX has nothing that stands for the {ops}. {_ADVICE}")


def _verify(
    plan: Plan, path: Path, answers: Answers, inputs: npt.NDArray[Any], tolerance: float
) -> Verification:
    outputs = [tensor.name for tensor in plan.outputs]
    try:
        session = OnnxSession(path.read_bytes(), plan.input, outputs, get_settings())
        return compare(plan, answers, session.run, inputs, tolerance)
    except VerificationError as error:
        raise VerificationError(f"Converted to ONNX: {error} {_ADVICE}") from error
    except OnnxSession.FAILURES as error:
        raise NotConvertibleError(
            f"ONNX Runtime cannot run the converted graph: {reason(error)}. {_ADVICE}"
        ) from error


def _nodes(graph: Any) -> Iterator[Any]:
    """Give the nodes of a graph and of the graphs in it: branches and bodies of loops."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)


def _is_known(node: Any) -> bool:
    return node.domain in ("", "ai.onnx") and onnx.defs.has(node.op_type, "")

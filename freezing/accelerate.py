"""The accelerated form: a frozen graph converted to ONNX and proven against its source."""

import shutil
import tempfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tensorflow as tf

from freezing.outcome import AcceleratedOutcome
from freezing.running.failures import CrashedError, NotRunnableError
from freezing.running.forks import Apart, apart
from freezing.running.reasons import reason
from freezing.running.steps import Report
from freezing.verifying.answers import Expected
from freezing.verifying.verify import verify
from worker.errors import FreezeError, VerificationError
from worker.formatting import size

SUFFIX = ".onnx"
_OPSET = 18  # the newest that tf2onnx 1.17 writes
_ADVICE = "Leave `runtime` out (--runtime tensorflow) to serve it with TensorFlow."


class NotConvertibleError(FreezeError):
    """The frozen graph has no form in ONNX that ONNX Runtime can run."""

    code = "not_convertible"


def accelerate(
    report: Report, graph: Path, expected: Expected, tolerance: float, *, apart: Apart = apart
) -> AcceleratedOutcome:
    """Write the frozen graph as ONNX beside its file and return what a report says of it.

    Raises `NotConvertibleError`, and `VerificationError` where ONNX Runtime answers otherwise than
    the source.
    """
    path, folder = graph.with_suffix(SUFFIX), Path(tempfile.mkdtemp(dir=graph.parent))
    made = folder / path.name
    outputs = [tensor.name for tensor in expected.outputs]
    try:
        apart(
            report,
            convert_file,
            *(graph, made, expected.input.name, outputs),
            write=[folder],
        )
        made.replace(path)
        verification = verify(
            report, path, expected, tolerance, called="the converted graph", apart=apart
        )
    except (NotRunnableError, CrashedError) as error:
        raise NotConvertibleError(f"{error} {_ADVICE}") from error
    except VerificationError as error:
        raise VerificationError(f"Converted to ONNX: {error} {_ADVICE}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    written = path.stat().st_size
    report.log(
        f"Converted and verified in ONNX Runtime: {size(written)}, the largest difference is "
        f"{verification.max_abs_difference:.2g}."
    )
    return AcceleratedOutcome(
        format="onnx",
        opset=_OPSET,
        onnxruntime=version("onnxruntime"),
        bytes=written,
        verification=verification,
    )


def convert_file(_: Report, graph: Path, path: Path, feed: str, outputs: list[str]) -> None:
    """Convert a frozen graph's file into another; called in a process of its own."""
    path.write_bytes(_convert(graph, feed, outputs))


def _convert(graph: Path, feed: str, outputs: list[str]) -> bytes:
    # Heavy, and most freezes do without them.
    import onnx  # noqa: PLC0415
    from tf2onnx import convert  # noqa: PLC0415

    def is_known(node: Any) -> bool:
        return node.domain in ("", "ai.onnx") and onnx.defs.has(node.op_type, "")

    graph_def = tf.compat.v1.GraphDef()
    graph_def.ParseFromString(graph.read_bytes())
    try:
        model, _ = convert.from_graph_def(
            graph_def, input_names=[feed], output_names=outputs, opset=_OPSET
        )
        unknown = sorted({node.op_type for node in _nodes(model.graph) if not is_known(node)})
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


def _nodes(graph: Any) -> Iterator[Any]:
    """Give the nodes of a graph and of the graphs in it: branches and bodies of loops."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner)

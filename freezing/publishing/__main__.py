"""The process that audits what is to be published: `python -m freezing.publishing`.

It never saw the source, and gets nothing but open files: the graph, and the converted graph where
there is one. It gives up everything else before it reads a byte of them, and writes one line of
JSON: what it counted (`records.Examined`), or why it refuses (`Refused`). Standard input holds, as
JSON, what the graph must have (`ExpectedTensors`).
"""

import importlib.util
import os
import sys
import types
from collections.abc import Iterable
from typing import Any

from freezing.publishing.audit_messages import Examined, ExpectedTensors, Refused
from freezing.running.limits import limit
from worker.auditing.allowed_ops import VERSION
from worker.auditing.graph_def import ForbiddenModelError, audit_graph
from worker.auditing.onnx_model import audit_onnx, parse
from worker.confinement.confine import confine
from worker.confinement.system import die_with_parent
from worker.out_of_memory import is_out_of_memory


def main() -> int:
    """Audit what the descriptors hold; return the exit code."""
    parent, memory_bytes, confinement, graph, *accelerated = sys.argv[1:]
    if not die_with_parent(int(parent)):
        return 1
    limit(int(memory_bytes))
    graph_def, wanted = _messages().GraphDef, ExpectedTensors.model_validate_json(sys.stdin.read())
    if confinement != "off":
        found = confine([], [], alone=True)
        if confinement == "required":
            found.check()
    outcome: Examined | Refused
    try:
        outcome = _audit(graph_def, int(graph), map(int, accelerated), wanted)
    except ForbiddenModelError as error:
        outcome = Refused(refused=error.message[:2000])
    except MemoryError:
        words = "There is not enough memory to look at the graph that was frozen."
        outcome = Refused(refused=words)
    sys.stdout.write(outcome.model_dump_json() + "\n")
    sys.stdout.flush()
    return 0


def _audit(
    graph_def: Any, descriptor: int, accelerated: Iterable[int], wanted: ExpectedTensors
) -> Examined:
    try:
        graph = graph_def.FromString(_content(descriptor))
    except Exception as error:  # protobuf's, of which the class depends on its implementation
        if is_out_of_memory(error):
            raise MemoryError from error
        raise ForbiddenModelError("The file that was frozen holds no graph.") from error
    found = audit_graph(graph)
    _refuse_missing(graph, wanted)
    return Examined(
        allow_list=VERSION,
        ops=dict(sorted(found.ops.items())),
        nodes=found.nodes,
        functions=found.functions,
        onnx=[audit_onnx(parse(_content(one))) for one in accelerated],
    )


def _refuse_missing(graph: Any, wanted: ExpectedTensors) -> None:
    """Raise `ForbiddenModelError` where the input or an output is not in the graph."""
    nodes = {node.name: node for node in graph.node}
    for name in (wanted.input, *wanted.outputs):
        if name.partition(":")[0] not in nodes:
            raise ForbiddenModelError(f"The graph that was frozen has no '{name[:200]}'.")
    if not nodes[wanted.input.partition(":")[0]].op.startswith("Placeholder"):
        raise ForbiddenModelError(f"Nothing can be put into '{wanted.input[:200]}'.")


def _content(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _messages() -> Any:
    """Return the module of GraphDef without loading TensorFlow, of which it needs nothing."""
    package = importlib.util.find_spec("tensorflow")
    if package is None:
        raise ModuleNotFoundError("tensorflow is not installed")
    stand_in = types.ModuleType("tensorflow")
    stand_in.__path__ = list(package.submodule_search_locations or ())
    sys.modules["tensorflow"] = stand_in
    from tensorflow.core.framework import graph_pb2  # noqa: PLC0415 - after the stand-in

    return graph_pb2


if __name__ == "__main__":
    status = main()
    os._exit(status)

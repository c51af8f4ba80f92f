"""Attributes that make an allowed op do what it must not."""

from typing import Any

_STANDARD_STREAMS = frozenset({b"stderr", b"stdout", b"log(info)", b"log(warning)", b"log(error)"})
_RESOURCE, _VARIANT = 20, 21  # of DataType in tensorflow/core/framework/types.proto
_HANDLES = frozenset({_RESOURCE, _VARIANT})


def fault(node: Any) -> str | None:
    """Return what is wrong with a NodeDef of an allowed op: "reads a file (its vocab_file)"."""
    if node.op == "PrintV2" and node.attr["output_stream"].s not in _STANDARD_STREAMS:
        return "writes a file (its output_stream)"
    if node.op == "FixedUnigramCandidateSampler" and node.attr["vocab_file"].s:
        return "reads a file (its vocab_file)"
    if node.op == "Empty" and not node.attr["init"].b:
        return "gives memory as it was left by others (its init is false)"
    if node.op == "Const" and _holds_handle(node):
        return "holds the handle of a resource instead of numbers"
    return None


def _holds_handle(node: Any) -> bool:
    return node.attr["dtype"].type in _HANDLES or node.attr["value"].tensor.dtype in _HANDLES

"""Models are programs: which ops may run while freezing, and which may be served.

Two checks. `refuse_unsafe` looks, before anything runs, at the part of the source that the outputs
need, functions included, and refuses what reads or writes files, runs Python, talks to others or
is not known to be harmless. `refuse_leftovers` looks at the finished graph and refuses what would
fail at serving time because its state is gone.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf

from freezing.graphs import PLACEHOLDER_OPS, VARIABLE_OPS, Graph, called_functions, op_def
from worker.errors import FreezeError


class UnsafeGraphError(FreezeError):
    """The graph holds an op that a served model must not run."""

    code = "unsafe_graph"


class UnsupportedGraphError(FreezeError):
    """The graph holds an op that this system cannot freeze or serve."""

    code = "unsupported_graph"


# Ops without state in TensorFlow's register that nevertheless reach outside the process: files
# (`ImmutableConst` maps one into memory), Python, other processes, accelerators' programs.
_UNSAFE = re.compile(
    r"File|PyFunc|Dataset|Reader|Remote|Rpc|Send\Z|Recv\Z|_Send|_Recv|Debug|Vocab|Tpu|TPU|Xla"
    r"|ImmutableConst|Custom|Save|Restore|RegexReplace_\Z|ShardedFilename|LoadAndRemap|Skipgram"
    r"|NegTrain|Sleep|HostConst|BatchFunction|Collective|Nccl|Session|Server|Worker"
)
# What gives training its data; an input named behind it replaces it.
_PIPELINE = re.compile(r"Queue|Reader|Iterator|Dataset|Barrier|RecordInput|Unstage|Stage|MapPeek")
_TABLE = re.compile(r"HashTable|LookupTable|InitializeTable")
# Ops with state that stay within one run or only draw random numbers.
_HARMLESS = frozenset(
    {"Assert", "CheckNumerics", "CheckNumericsV2", "GuaranteeConst", "Print", "Empty"}
    | {"If", "While", "Case", "StatefulPartitionedCall", "DeepCopy", "DeviceIndex"}
    | {"StatelessRandomGetAlg", "CudnnRNN", "CudnnRNNV2", "CudnnRNNV3"}
)
_HARMLESS_FAMILY = re.compile(
    r"\ATensorArray|\AStack(V2|Push|Pop|Close|\Z)|\ARandom(?!Dataset|ShuffleQueue|SeedGen)"
    r"|\A(ParameterizedTruncatedNormal|TruncatedNormal|Multinomial)\Z|\ASampleDistorted"
    r"|\AStateful(Standard|Truncated|Uniform|RandomBinomial)|CandidateSampler\Z"
)
# Variables and what changes them. They may be in the source, where branches of training hold them,
# and in functions; what of them is left after freezing is refused.
_VARIABLE_STATE = re.compile(
    r"\A(Assign|Scatter(Nd)?(Add|Sub|Mul|Div|Min|Max|Update)|Resource(Scatter|Strided|Gather"
    r"|Apply|SparseApply)|Apply[A-Z]|SparseApply|CountUpTo|ResourceCountUpTo|ReadVariableOp"
    r"|VariableShape|VarIsInitializedOp|IsVariableInitialized|StridedSliceAssign"
    r"|DestroyResourceOp|TemporaryVariable|DestroyTemporaryVariable|DisableCopyOnRead)"
)
_STANDARD_STREAMS = frozenset({b"stderr", b"stdout", b"log(info)", b"log(warning)", b"log(error)"})


def refuse_unknown(graph: Graph) -> None:
    """Raise `UnsupportedGraphError` naming the ops that this TensorFlow does not have."""
    unknown = sorted(
        {
            node.op
            for node in _nodes(graph)
            if op_def(node.op) is None and node.op not in graph.functions
        }
    )
    if unknown:
        raise UnsupportedGraphError(
            f"TensorFlow {tf.__version__} does not know the op(s) {', '.join(unknown)}, which the "
            "outputs need: they come from another package or were removed."
        )


def refuse_unsafe(graph: Graph) -> None:
    """Raise `UnsafeGraphError` or `UnsupportedGraphError` naming an op that may not run."""
    for node in _nodes(graph):
        definition = op_def(node.op)
        if _PIPELINE.search(node.op):
            raise UnsupportedGraphError(
                f"The outputs read their data from '{node.name}' ({node.op}), which only training "
                "has: name the tensor that takes images with `inputs` (--input)."
            )
        if _TABLE.search(node.op):
            raise UnsupportedGraphError(
                f"The outputs use the lookup table '{node.name}' ({node.op}), whose content cannot "
                "be frozen yet: choose an output before it."
            )
        if _is_unsafe(node, definition):
            raise UnsafeGraphError(
                f"The outputs need '{node.name}', an op of kind {node.op}: a model that reads or "
                "writes files, runs other code or talks to other processes is not frozen."
            )


def may_be_imported(graph: Graph) -> bool:
    """Whether TensorFlow may look at the graph: inferring shapes can run ops without state."""
    return not any(
        _is_unsafe(node, op_def(node.op)) and not _PIPELINE.search(node.op)
        for node in _nodes(graph)
    )


def refuse_leftovers(graph: Graph) -> None:
    """Raise `UnsupportedGraphError` where a frozen graph still holds state of the source."""
    for node in _nodes(graph):
        if node.op in VARIABLE_OPS or _VARIABLE_STATE.search(node.op):
            raise UnsupportedGraphError(
                f"The outputs need '{node.name}' ({node.op}), which reads or changes a variable "
                "while the graph runs: such a state cannot be frozen. If only training needs it, "
                "set the placeholder that switches training, for instance --set is_training=false."
            )
        definition = op_def(node.op)
        if _PIPELINE.search(node.op) or _TABLE.search(node.op) or _is_unsafe(node, definition):
            raise UnsupportedGraphError(
                f"The frozen graph would still hold '{node.name}' ({node.op}), which cannot be "
                "served."
            )


def _is_unsafe(node: Any, definition: Any) -> bool:
    op = node.op
    if op == "PrintV2":
        return node.attr["output_stream"].s not in _STANDARD_STREAMS
    if op in VARIABLE_OPS or op in PLACEHOLDER_OPS or _VARIABLE_STATE.search(op):
        return False
    if op in _HARMLESS or _HARMLESS_FAMILY.search(op):
        return False
    if _UNSAFE.search(op):
        return True
    return definition is not None and bool(definition.is_stateful)


def _nodes(graph: Graph) -> Iterator[Any]:
    """Yield the nodes and those of every function that they can reach."""
    yield from graph
    for name in called_functions(graph, graph.functions):
        yield from _body(graph.functions[name])


def _body(function: Any) -> Iterable[Any]:
    nodes: Iterable[Any] = function.node_def
    return nodes

"""What may run and what may be served."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from freezing.auditing.audit import (
    UnsafeGraphError,
    UnsupportedGraphError,
    audit,
    refuse_leftovers,
    refuse_unsafe,
)
from freezing.graph.graph import Graph, op_def
from freezing.graph.permitted import may_be_imported
from tests.unit.freezing.networks import dense, flat, image_placeholder, v1
from tests.unit.freezing.saved import freeze, save
from worker.auditing import allowed_ops

# Ops that image classifiers of all ages are made of.
HARMLESS = """
    Conv2D DepthwiseConv2dNative MatMul BatchMatMulV2 BiasAdd FusedBatchNorm FusedBatchNormV3
    Relu Relu6 LeakyRelu Elu Selu Softmax Sigmoid Tanh LogSoftmax MaxPool AvgPool LRN Mean Sum
    Max Min Reshape Squeeze ExpandDims Transpose ConcatV2 Concat Split SplitV Pad PadV2
    MirrorPad Pack Unpack StridedSlice Slice GatherV2 ResizeBilinear ResizeNearestNeighbor Cast
    Identity Const Placeholder Add AddV2 Sub Mul RealDiv Maximum Minimum Rsqrt Sqrt Square Exp
    Log Neg Pow Shape Fill Tile Range RandomUniform Floor GreaterEqual Select SelectV2 Where
    ArgMax TopKV2 OneHot Switch Merge Enter Exit NextIteration LoopCond If While PartitionedCall
    StatefulPartitionedCall TensorArrayV3 TensorArrayReadV3 TensorArrayWriteV3 StackV2 Assert
    Print CheckNumerics VariableV2 VarHandleOp ReadVariableOp AssignSub BatchToSpaceND
    SpaceToBatchND Conv2DBackpropInput DecodeJpeg CropAndResize NonMaxSuppressionV3 Einsum
    FakeQuantWithMinMaxVars QuantizeV2 Dequantize Reciprocal Softplus Mfcc
"""
UNSAFE = """
    ReadFile WriteFile MatchingFiles PyFunc PyFuncStateless EagerPyFunc SaveV2 RestoreV2
    ImmutableConst DebugIdentity DebugIdentityV2 RemoteCall LoadAndRemapMatrix Skipgram
    GenerateVocabRemapping CreateSummaryFileWriter WriteSummary DumpTensor XlaCustomCall
    FileSystemSetConfiguration RpcCall _Send _Recv GetSessionHandle TPUExecute SleepOp
"""
NOT_SERVED = """
    FIFOQueueV2 QueueDequeueV2 IteratorGetNext IteratorV2 OneShotIterator TFRecordDataset
    TextLineReaderV2 HashTableV2 LookupTableInsertV2 InitializeTableFromTextFileV2 Barrier Unstage
"""


# Why each of these may not run, of every kind of reason.
REASONS = {
    "ReadFile": "reads or writes files",
    "InitializeTableFromTextFileV2": "lookup table",
    "DecodeProtoV2": "reads or writes files",
    "EagerPyFunc": "runs Python code",
    "RpcClient": "opens sockets",
    "CollectiveReduceV2": "talks to other processes",
    "DebugIdentityV3": "for debugging",
    "XlaLaunch": "compiles and runs",
    "InfeedEnqueue": "drives a device",
    "_FusedConv2D": "made for one machine",
    "InplaceUpdate": "memory that outlives a run",
    "Abort": "stops the process",
    "BoostedTreesBucketize": r"not among the ops .*\(allow-list",
}


def graph_of(op: str) -> Graph:
    return Graph(v1.GraphDef(node=[v1.NodeDef(name="node", op=op)]))


def graph_calling(*nodes: Any, **functions: Any) -> Graph:
    """A graph of `nodes` with functions, each of one node."""
    graph_def = v1.GraphDef(node=nodes)
    for name, node in functions.items():
        function = graph_def.library.function.add()
        function.signature.name = name
        function.node_def.add().CopyFrom(node)
    return Graph(graph_def)


def node(name: str, op: str, **attributes: Any) -> Any:
    return v1.NodeDef(name=name, op=op, attr=attributes)


def calls(name: str) -> Any:
    value = v1.AttrValue()
    value.func.name = name
    return value


def test_every_op_of_the_allow_list_exists_here_or_is_marked_as_old() -> None:
    listed = allowed_ops.SERVED | allowed_ops.VARIABLES
    assert {op for op in listed if op_def(op) is None} == allowed_ops.LEGACY
    assert not allowed_ops.SERVED & allowed_ops.VARIABLES


def test_no_op_that_may_be_served_holds_a_state() -> None:
    """An op that takes or gives a handle has a state; those of one run only are known by name."""
    of_one_run = ("TensorArray", "Stack", "TensorList", "TensorMap", "EmptyTensor", "Optional")
    for op in allowed_ops.SERVED:
        definition = op_def(op)
        if definition.is_stateful and not op.startswith(of_one_run):
            arguments = [*definition.input_arg, *definition.output_arg]
            assert not [a for a in arguments if a.type == tf.resource.as_datatype_enum], op


@pytest.mark.parametrize(("op", "words"), REASONS.items())
def test_a_refusal_says_why(op: str, words: str) -> None:
    assert op_def(op) is not None
    with pytest.raises((UnsafeGraphError, UnsupportedGraphError), match=words) as refused:
        refuse_unsafe(graph_of(op))
    assert op in str(refused.value)
    assert "node" in str(refused.value)


@pytest.mark.parametrize("op", HARMLESS.split())
def test_an_op_of_a_classifier_may_run(op: str) -> None:
    assert op_def(op) is not None
    refuse_unsafe(graph_of(op))


@pytest.mark.parametrize("op", UNSAFE.split())
def test_an_op_that_reaches_outside_may_not(op: str) -> None:
    assert op_def(op) is not None
    with pytest.raises(UnsafeGraphError, match=op):
        refuse_unsafe(graph_of(op))
    with pytest.raises(UnsupportedGraphError, match=op):
        refuse_leftovers(graph_of(op))


@pytest.mark.parametrize("op", NOT_SERVED.split())
def test_an_op_that_only_training_has_is_refused_with_what_to_do(op: str) -> None:
    assert op_def(op) is not None
    with pytest.raises(UnsupportedGraphError, match=op):
        refuse_unsafe(graph_of(op))
    with pytest.raises(UnsupportedGraphError, match=op):
        refuse_leftovers(graph_of(op))


@pytest.mark.parametrize("op", ["VariableV2", "VarHandleOp", "ReadVariableOp", "AssignAdd"])
def test_a_variable_may_be_in_a_source_and_not_in_what_is_served(op: str) -> None:
    refuse_unsafe(graph_of(op))
    with pytest.raises(UnsupportedGraphError, match=op):
        refuse_leftovers(graph_of(op))


@pytest.mark.parametrize(("stream", "safe"), [("stderr", True), ("file:///tmp/x", False)])
def test_printing_to_a_file_is_writing_a_file(stream: str, safe: bool) -> None:
    graph = graph_of("PrintV2")
    graph.nodes["node"].attr["output_stream"].s = stream.encode()
    if safe:
        refuse_unsafe(graph)
    else:
        with pytest.raises(UnsafeGraphError, match="PrintV2"):
            refuse_unsafe(graph)


def attribute(**value: Any) -> Any:
    return v1.AttrValue(**value)


@pytest.mark.parametrize(
    ("op", "safe", "unsafe"),
    [
        ("Empty", {"init": attribute(b=True)}, {}),
        ("FixedUnigramCandidateSampler", {}, {"vocab_file": attribute(s=b"/etc/passwd")}),
        (
            "Const",
            {"dtype": attribute(type=1)},
            {"dtype": attribute(type=tf.resource.as_datatype_enum)},
        ),
    ],
)
def test_an_attribute_can_make_an_op_unsafe(
    op: str, safe: dict[str, Any], unsafe: dict[str, Any]
) -> None:
    refuse_unsafe(Graph(v1.GraphDef(node=[node("node", op, **safe)])))
    graph = Graph(v1.GraphDef(node=[node("node", op, **unsafe)]))
    with pytest.raises(UnsafeGraphError, match=op):
        refuse_unsafe(graph)
    assert not may_be_imported(graph)


WRITE = v1.NodeDef(name="hidden", op="WriteFile")


def nested(name: str) -> Any:
    """An attribute with a function whose own attribute names another."""
    value = calls("outer")
    value.func.attr["then"].CopyFrom(calls(name))
    return value


def listed(name: str) -> Any:
    value = v1.AttrValue()
    value.list.func.add().name = name
    return value


@pytest.mark.parametrize(
    "graph",
    [
        graph_calling(node("a", "evil"), evil=WRITE),
        graph_calling(node("a", "PartitionedCall", f=calls("evil")), evil=WRITE),
        graph_calling(node("a", "PartitionedCall", f=nested("evil")), evil=WRITE),
        graph_calling(node("a", "Case", branches=listed("evil")), evil=WRITE),
        graph_calling(node("a", "Identity", note=attribute(s=b"evil")), evil=WRITE),
        graph_calling(
            node("a", "While", body=calls("body")),
            body=node("b", "PartitionedCall", f=calls("evil")),
            evil=WRITE,
        ),
    ],
    ids=["as an op", "as an attribute", "nested", "in a list", "as text", "in a body of a loop"],
)
def test_a_file_written_in_a_function_is_found_wherever_it_is_called_from(graph: Graph) -> None:
    with pytest.raises(UnsafeGraphError, match=r"'hidden' in the function 'evil'.*WriteFile"):
        refuse_unsafe(graph)
    with pytest.raises(UnsupportedGraphError, match="WriteFile"):
        audit(graph)
    assert not may_be_imported(graph)


def test_a_file_written_in_the_gradient_of_a_function_is_found() -> None:
    graph_def = graph_calling(
        node("a", "PartitionedCall", f=calls("good")), good=node("b", "NoOp"), evil=WRITE
    ).to_graph_def()
    graph_def.library.gradient.add(function_name="good", gradient_func="evil")
    whole = Graph(graph_def)
    for graph in (whole, whole.subgraph(["a"])):
        with pytest.raises(UnsafeGraphError, match="WriteFile"):
            refuse_unsafe(graph)
    whole.keep(["a"])
    assert set(whole.functions) == {"good"}, "what is frozen needs no gradients"


def test_symbolic_gradient_is_no_way_in() -> None:
    with pytest.raises(UnsupportedGraphError, match="SymbolicGradient"):
        refuse_unsafe(
            graph_calling(node("a", "SymbolicGradient", f=calls("good")), good=node("b", "NoOp"))
        )


def test_a_function_with_the_name_of_an_op_is_refused() -> None:
    with pytest.raises(UnsafeGraphError, match="Conv2D"):
        refuse_unsafe(graph_calling(node("a", "Conv2D"), Conv2D=node("b", "NoOp")))


def test_an_audit_tells_what_it_saw() -> None:
    graph = graph_calling(
        node("a", "PartitionedCall", f=calls("good")), node("b", "NoOp"), good=node("c", "NoOp")
    )
    assert audit(graph) == {
        "verdict": "allowed",
        "allow_list": allowed_ops.VERSION,
        "ops": {"NoOp": 2, "PartitionedCall": 1},
        "functions": 1,
    }


def test_a_function_that_nothing_calls_is_not_written() -> None:
    with pytest.raises(UnsupportedGraphError, match="idle"):
        audit(graph_calling(node("a", "NoOp"), idle=node("b", "NoOp")))


def test_the_audit_of_what_was_frozen_stands_in_its_outcome(tmp_path: Path) -> None:
    def build() -> None:
        with tf.device("/CPU:0"):
            tf.nn.softmax(dense(flat(image_placeholder()), 4, "dense"), name="y_pred")

    frozen = freeze(save(tmp_path / "source", build).folder, tmp_path)
    found = frozen.outcome["audit"]
    assert found["verdict"] == "allowed"
    assert found["ops"]["MatMul"] == 1
    assert sum(found["ops"].values()) == len(frozen.graph_def.node)
    assert not frozen.graph_def.library.ListFields()
    for one in frozen.graph_def.node:
        assert not one.device
        assert not [name for name in one.attr if name.startswith("_")]


def written_by(write: Callable[[], Any]) -> Callable[[], None]:
    def build() -> None:
        with tf.control_dependencies([write()]):
            x = tf.identity(flat(image_placeholder()))
        tf.nn.softmax(dense(x, 4, "dense"), name="y_pred")

    return build


def test_a_file_written_in_a_function_of_a_function_is_found(tmp_path: Path) -> None:
    target = tmp_path / "written"

    def inner(switch: Any) -> Any:
        tf.io.write_file(str(target), "from inside")
        return switch

    def outer() -> Any:
        return tf.cond(tf.constant(True), lambda: tf.function(inner)(tf.constant(1)), lambda: 0)

    saved = save(tmp_path / "source", written_by(tf.function(outer)), control_flow_v2=True)
    target.unlink()
    with pytest.raises(UnsafeGraphError, match="WriteFile"):
        freeze(saved.folder, tmp_path)
    assert not target.exists()


def test_a_file_beside_the_way_does_not_matter(tmp_path: Path) -> None:
    def build() -> None:
        written_by(lambda: tf.constant(0))()
        tf.io.write_file("/nowhere", "aside")

    saved = save(tmp_path / "source", build)
    freeze(saved.folder, tmp_path)

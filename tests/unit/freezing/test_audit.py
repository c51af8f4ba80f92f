"""What may run and what may be served."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from freezing.audit import (
    UnsafeGraphError,
    UnsupportedGraphError,
    refuse_leftovers,
    refuse_unsafe,
)
from freezing.graphs import Graph, op_def
from tests.unit.freezing.networks import dense, flat, image_placeholder, v1
from tests.unit.freezing.saved import freeze, save

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
    TextLineReaderV2 HashTableV2 LookupTableFindV2 InitializeTableFromTextFileV2 Barrier Unstage
"""


def graph_of(op: str) -> Graph:
    return Graph(v1.GraphDef(node=[v1.NodeDef(name="node", op=op)]))


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

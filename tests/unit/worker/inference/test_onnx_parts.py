"""Models cut in two where their heavy weights begin: when, and that no answer changes."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from worker.inference import onnx_parts
from worker.inference.onnx_parts import HEAVY_BYTES, cut
from worker.inference.onnx_session import OnnxSession
from worker.models.manifest import Tensor
from worker.settings import Settings

SIDE, CHANNELS, WIDTH = 32, 4, 80
FEATURES = SIDE * SIDE * CHANNELS
SOURCE = Tensor(name="x:0", shape=[None, 3, SIDE, SIDE], dtype="float32")
IMAGES = np.random.default_rng(5).random((7, 3, SIDE, SIDE), np.float32)

CONVOLUTION = helper.make_node("Conv", ["x:0", "kernel"], ["conv"], pads=[1, 1, 1, 1])
FLATTENED = helper.make_node("Flatten", ["conv"], ["rows"])
HIDDEN = helper.make_node("MatMul", ["rows", "wide"], ["hidden"])
HEAD = (
    helper.make_node("Relu", ["hidden"], ["active"]),
    helper.make_node("Gemm", ["active", "narrow"], ["logits"]),
    helper.make_node("Softmax", ["logits"], ["y:0"], axis=-1),
)
PLAIN = (CONVOLUTION, FLATTENED, HIDDEN, *HEAD)


def _weights(dtype: npt.DTypeLike = np.float32) -> list[onnx.TensorProto]:
    random = np.random.default_rng(7)
    shapes = {
        "kernel": (CHANNELS, 3, 3, 3),
        "wide": (FEATURES, WIDTH),
        "narrow": (WIDTH, 5),
        "quarter": (FEATURES // 4, 5),
        "of_pixels": (3 * SIDE * SIDE, 128),
    }
    return [
        numpy_helper.from_array((random.standard_normal(shape) / 40).astype(dtype), name)
        for name, shape in shapes.items()
    ]


def _model(
    nodes: Sequence[Any], outputs: Sequence[str] = ("y:0",), kind: int = TensorProto.FLOAT
) -> bytes:
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("x:0", kind, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info(name, kind, None) for name in outputs],
        [weights for weights in _weights(dtype) if weights.name in used],
    )
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)])
    return bytes(model.SerializeToString())


def _session(
    content: bytes, source: Tensor = SOURCE, outputs: Sequence[str] = ("y:0",)
) -> OnnxSession:
    return OnnxSession(lambda: content, source, outputs, Settings())


def _whole(content: bytes, monkeypatch: pytest.MonkeyPatch) -> OnnxSession:
    with monkeypatch.context() as patch:
        patch.setattr(onnx_parts, "LARGEST_BYTES", 0)
        return _session(content)


def test_both_parts_together_answer_as_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    content = _model(PLAIN)
    whole, parts = _whole(content, monkeypatch), _session(content)
    begun = [parts.begin(piece)[0] for piece in (IMAGES[:1], IMAGES[1:3], IMAGES[3:])]
    (found,) = parts.finish([np.concatenate(begun)])
    (expected,) = whole.run(IMAGES)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(parts.run(IMAGES)[0], expected)
    assert [rows.shape for rows in begun] == [(1, FEATURES), (2, FEATURES), (4, FEATURES)]
    assert whole.begin(IMAGES)[0].shape == (7, 5)


def test_each_weight_is_in_one_part() -> None:
    content = _model(PLAIN)
    parts = cut(content, "x:0", ["y:0"])
    assert parts is not None
    assert parts.between == "rows"
    names = [
        {weights.name for weights in onnx.ModelProto.FromString(part).graph.initializer}
        for part in (parts.first, parts.second)
    ]
    assert names == [{"kernel"}, {"wide", "narrow"}]
    assert len(parts.first) + len(parts.second) < len(content) + 1000


def test_what_is_between_has_the_type_of_the_weights() -> None:
    parts = cut(_model(PLAIN, kind=TensorProto.DOUBLE), "x:0", ["y:0"])
    assert parts is not None
    first, second = (onnx.ModelProto.FromString(part).graph for part in parts[:2])
    types = [value.type.tensor_type.elem_type for value in (*first.output, *second.input)]
    assert types == [TensorProto.DOUBLE] * 2


def _with_body() -> list[Any]:
    """Return nodes of which one, behind the heavy matrix, uses what is before it unnamed."""

    def body(name: str) -> Any:
        values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)]
        mean = helper.make_node("ReduceMean", ["conv"], [name], keepdims=0)
        return helper.make_graph([mean], name, [], values)

    so = helper.make_node("Constant", [], ["so"], value=numpy_helper.from_array(np.array(True)))
    chosen = helper.make_node(
        "If", ["so"], ["chosen"], then_branch=body("then"), else_branch=body("otherwise")
    )
    total = helper.make_node("Add", ["hidden", "chosen"], ["y:0"])
    return [CONVOLUTION, FLATTENED, HIDDEN, so, chosen, total]


UNCUT = {
    "small": _model(
        (
            helper.make_node("Conv", ["x:0", "kernel"], ["conv"], strides=[4, 4]),
            helper.make_node("GlobalAveragePool", ["conv"], ["y:0"]),
        )
    ),
    "damaged": _model(PLAIN)[: HEAVY_BYTES + 500],
    "without convolutions": _model(
        (
            helper.make_node("Flatten", ["x:0"], ["pixels"]),
            helper.make_node("MatMul", ["pixels", "of_pixels"], ["y:0"]),
        )
    ),
    "with another way to the end": _model(
        (
            CONVOLUTION,
            FLATTENED,
            HIDDEN,
            helper.make_node("ReduceMean", ["x:0"], ["mean"], keepdims=1),
            helper.make_node("Flatten", ["mean"], ["one"]),
            helper.make_node("Add", ["hidden", "one"], ["y:0"]),
        )
    ),
    "with bodies": _model(_with_body()),
}


@pytest.mark.parametrize("content", UNCUT.values(), ids=UNCUT.keys())
def test_what_gains_nothing_or_is_not_clear_is_left_whole(content: bytes) -> None:
    assert cut(content, "x:0", ["y:0"]) is None


def test_a_body_may_use_what_is_in_front_of_the_matrix() -> None:
    assert _session(_model(_with_body())).run(IMAGES)[0].shape == (7, WIDTH)


def test_a_model_of_which_the_middle_is_asked_for_is_left_whole() -> None:
    content = _model(PLAIN, outputs=["y:0", "conv"])
    assert cut(content, "x:0", ["y:0", "conv"]) is None


def test_a_large_model_is_left_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    content = _model(PLAIN)
    monkeypatch.setattr(onnx_parts, "LARGEST_BYTES", len(content) - 1)
    assert cut(content, "x:0", ["y:0"]) is None


@pytest.mark.parametrize("shape", [[7, 3, SIDE, SIDE], [None, 3, None, None], None])
def test_a_model_of_a_fixed_batch_or_of_any_size_is_run_whole(shape: list[int | None]) -> None:
    source = SOURCE.model_copy(update={"shape": shape})
    assert _session(_model(PLAIN), source).begin(IMAGES)[0].shape == (7, 5)


def test_a_model_with_several_rows_for_an_image_is_run_whole() -> None:
    """Four rows for each image, of which the heavy matrix sees one after the other."""
    quarters = numpy_helper.from_array(np.array([-1, FEATURES // 4]))
    nodes = (
        CONVOLUTION,
        helper.make_node("Constant", [], ["shape"], value=quarters),
        helper.make_node("Reshape", ["conv", "shape"], ["rows"]),
        helper.make_node("MatMul", ["rows", "quarter"], ["y:0"]),
    )
    content = _model(nodes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_parts, "HEAVY_BYTES", 1000)
        assert cut(content, "x:0", ["y:0"]) is not None
        assert _session(content).begin(IMAGES)[0].shape == (28, 5)

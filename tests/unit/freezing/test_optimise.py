"""What optimising does to a graph, in numbers, and what it must not do."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from freezing.graph.graph import Endpoint, Graph, const_node, placeholder_node
from freezing.graph.grappler import rewrite
from freezing.optimising import optimise as module
from freezing.optimising.batch_norm import fold_batch_norms
from freezing.optimising.optimise import optimise
from tests.unit.freezing import networks
from tests.unit.freezing.networks import dense, flat, image_placeholder, v1
from tests.unit.freezing.saved import Frozen, Saved, assert_same_answers, freeze, save

NORMS = {"FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"}
ARITHMETIC = {"Mul", "Sub", "Rsqrt", "RealDiv", "Sqrt"}


def weights(name: str, shape: list[int], dtype: Any = tf.float32) -> Any:
    return v1.get_variable(name, shape, dtype)


def conv(x: Any, nchw: bool = False) -> Any:
    inputs = x.shape[1 if nchw else 3]
    kernel = weights("kernel", [3, 3, inputs, 4])
    return tf.nn.conv2d(x, kernel, 2, "SAME", data_format="NCHW" if nchw else "NHWC")


def depthwise(x: Any, nchw: bool = False) -> Any:
    kernel = weights("kernel", [3, 3, x.shape[1 if nchw else 3], 2])
    return v1.nn.depthwise_conv2d_native(
        x, kernel, [1, 1, 1, 1], "SAME", data_format="NCHW" if nchw else "NHWC"
    )


def transposed(x: Any, nchw: bool = False) -> Any:
    batch = tf.shape(x)[0]
    shape = [batch, 5, 16, 16] if nchw else [batch, 16, 16, 5]
    kernel = weights("kernel", [3, 3, 5, 3])
    return tf.nn.conv2d_transpose(x, kernel, shape, 2, data_format="NCHW" if nchw else "NHWC")


def matmul(x: Any, nchw: bool = False) -> Any:
    return tf.matmul(flat(x), weights("kernel", [192, 6]))


def dilated(x: Any, nchw: bool = False) -> Any:
    """As TensorFlow 1 wrote dilations: between SpaceToBatchND and BatchToSpaceND."""
    blocks = tf.space_to_batch(x, [2, 2], [[2, 2], [2, 2]])
    hidden = tf.nn.conv2d(blocks, weights("kernel", [3, 3, 3, 4]), 1, "VALID")
    return v1.batch_to_space_nd(hidden, [2, 2], [[0, 0], [0, 0]])


LAYERS = {
    "conv": conv, "depthwise": depthwise, "transposed": transposed, "matmul": matmul,
    "dilated": dilated,
}  # fmt: skip


def fused(x: Any, nchw: bool = False) -> Any:
    size = [x.shape[1 if nchw else 3]]
    parts = [weights(name, size) for name in ("gamma", "beta", "mean", "variance")]
    return v1.nn.fused_batch_norm(
        x, *parts, is_training=False, data_format="NCHW" if nchw else "NHWC"
    )[0]


def fused_first(x: Any, nchw: bool = False) -> Any:
    parts = [weights(name, [x.shape[3]]) for name in ("gamma", "beta", "mean", "variance")]
    return tf.raw_ops.FusedBatchNorm(
        x=x, scale=parts[0], offset=parts[1], mean=parts[2], variance=parts[3], is_training=False
    )[0]


def unfused(x: Any, nchw: bool = False) -> Any:
    size = [x.shape[1], 1, 1] if nchw else [x.shape[-1]]
    gamma, beta, mean, variance = (
        weights(name, size) for name in ("gamma", "beta", "mean", "variance")
    )
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-3)


def written_out(x: Any, nchw: bool = False) -> Any:
    gamma, beta, mean, variance = (
        weights(name, [x.shape[-1]]) for name in ("gamma", "beta", "mean", "variance")
    )
    return beta + gamma * ((x - mean) / tf.sqrt(variance + 1e-3))


NORMALISATIONS = {
    "fused": fused, "fused first": fused_first, "unfused": unfused, "written out": written_out,
}  # fmt: skip


def one_layer(layer: Any, normalisation: Any, *, nchw: bool = False, bias: bool = False) -> None:
    x = image_placeholder()
    hidden = layer(tf.transpose(x, [0, 3, 1, 2]) if nchw else x, nchw)
    if bias:
        size = [hidden.shape[1 if nchw else -1]]
        hidden = tf.nn.bias_add(hidden, weights("bias", size), "NCHW" if nchw else "NHWC")
    hidden = tf.nn.relu(normalisation(hidden, nchw))
    if len(hidden.shape) == 4:
        hidden = tf.reduce_max(hidden, [2, 3] if nchw else [1, 2])
    tf.nn.softmax(dense(hidden, 4, "dense"), name="y_pred")


def counted(folder: Path, build: Callable[[], None], norms: int, **fields: Any) -> Frozen:
    """Freeze with optimising; it must fold so many normalisations and answer as before."""
    saved = save(folder / "source", build)
    frozen = freeze(saved.folder, folder, **fields)
    assert_same_answers(saved, frozen)
    assert frozen.outcome["optimised"] is not None, frozen.outcome["warnings"]
    assert frozen.outcome["optimised"]["batch_norms"] == norms, frozen.ops
    assert frozen.outcome["nodes_after"] == len(frozen.graph_def.node)
    return frozen


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize("layer", LAYERS)
def test_a_normalisation_goes_into_the_layer_before_it(
    tmp_path: Path, layer: str, normalisation: str
) -> None:
    if layer == "matmul" and normalisation in ("fused", "fused first"):
        pytest.skip("it takes images only")
    build = partial(one_layer, LAYERS[layer], NORMALISATIONS[normalisation], bias=True)
    frozen = counted(tmp_path, build, 1)
    assert not frozen.ops & (NORMS | ARITHMETIC)


@pytest.mark.parametrize("scaled", [True, False])
def test_the_normalisation_of_2015_is_folded(scaled: bool) -> None:
    """It is in the Inception graph that many tutorials download, and in no newer one."""
    random = np.random.default_rng(0)
    graph_def = v1.GraphDef()
    graph_def.versions.producer = 8
    parts = {name: random.uniform(0.1, 2, 4).astype(np.float32) for name in ("m", "v", "b", "g")}
    kernel = random.random((3, 3, 3, 4), np.float32)
    shape = tf.TensorShape([None, 8, 8, 3]).as_proto()
    graph_def.node.append(placeholder_node("x", tf.float32.as_datatype_enum, shape))
    for name, value in {**parts, "kernel": kernel}.items():
        graph_def.node.append(const_node(name, value))
    conv = graph_def.node.add(name="conv", op="Conv2D", input=["x", "kernel"])
    norm = graph_def.node.add(name="y", op="BatchNormWithGlobalNormalization")
    norm.input.extend(["conv", *parts])
    conv.attr["strides"].list.i.extend([1, 2, 2, 1])
    conv.attr["padding"].s = b"SAME"
    norm.attr["variance_epsilon"].f = 1e-3
    norm.attr["scale_after_normalization"].b = scaled
    conv.attr["T"].type = norm.attr["T"].type = tf.float32.as_datatype_enum
    images = random.random((2, 8, 8, 3), np.float32)
    graph = Graph(graph_def)
    expected = answer(graph, images)
    done = optimise(graph, ["x:0", "y:0"], [])
    assert (done.batch_norms, len(graph)) == (1, 5)
    np.testing.assert_allclose(answer(graph, images), expected, rtol=1e-4, atol=1e-5)


def answer(graph: Graph, images: Any) -> Any:
    with tf.Graph().as_default(), v1.Session() as session:
        tf.import_graph_def(graph.to_graph_def(), name="")
        return session.run("y:0", {"x:0": images})


@pytest.mark.parametrize("normalisation", ["fused", "unfused"])
@pytest.mark.parametrize("layer", ["conv", "depthwise", "transposed"])
def test_channels_may_come_first(tmp_path: Path, layer: str, normalisation: str) -> None:
    build = partial(one_layer, LAYERS[layer], NORMALISATIONS[normalisation], nchw=True, bias=True)
    frozen = counted(tmp_path, build, 1)
    assert not frozen.ops & (NORMS | ARITHMETIC)


def test_a_normalisation_before_a_layer_and_behind_an_activation_stays(tmp_path: Path) -> None:
    def build() -> None:
        x = fused(image_placeholder())
        with v1.variable_scope("inside"):
            hidden = fused(tf.nn.relu(conv(x)))
        tf.nn.softmax(dense(tf.reduce_max(hidden, [1, 2]), 4, "dense"), name="y_pred")

    frozen = counted(tmp_path, build, 0)
    assert len([n for n in frozen.graph_def.node if n.op in NORMS]) == 2


def test_what_else_needs_the_layer_keeps_it_as_it_is(tmp_path: Path) -> None:
    def build() -> None:
        hidden = conv(image_placeholder())
        both = tf.concat([fused(hidden), hidden], 3)
        tf.nn.softmax(dense(tf.reduce_max(both, [1, 2]), 4, "dense"), name="y_pred")

    counted(tmp_path, build, 0)


def test_weights_of_two_layers_are_not_doubled(tmp_path: Path) -> None:
    def build() -> None:
        x = image_placeholder()
        kernel = weights("kernel", [3, 3, 3, 4])
        hidden = [tf.nn.conv2d(side, kernel, 2, "SAME") for side in (x, 1 - x)]
        with v1.variable_scope("norm", reuse=v1.AUTO_REUSE):
            both = tf.concat([fused(one) for one in hidden], 3)
        tf.nn.softmax(dense(tf.reduce_max(both, [1, 2]), 4, "dense"), name="y_pred")

    counted(tmp_path, build, 0)


def test_outputs_on_the_way_stay_what_they_are(tmp_path: Path) -> None:
    def build() -> None:
        hidden = tf.identity(conv(image_placeholder()), name="before")
        hidden = tf.identity(fused(hidden), name="after")
        tf.nn.softmax(dense(tf.reduce_max(hidden, [1, 2]), 4, "dense"), name="y_pred")

    outputs = ("y_pred:0", "before:0", "after:0", "Conv2D:0", "FusedBatchNormV3:0")
    for wanted in (outputs, ("y_pred:0", "after:0"), ("y_pred:0", "FusedBatchNormV3:0")):
        saved = save(tmp_path / "source", build, outputs=wanted)
        frozen = freeze(saved.folder, tmp_path, outputs=list(wanted))
        assert_same_answers(saved, frozen)
        assert frozen.outcome["optimised"]["batch_norms"] == (0 if wanted == outputs else 1)


def test_a_normalisation_that_uses_the_batch_stays(tmp_path: Path) -> None:
    def build() -> None:
        hidden = conv(image_placeholder())
        parts = [weights(name, [4]) for name in ("gamma", "beta")]
        hidden = v1.nn.fused_batch_norm(hidden, *parts, is_training=True)[0]
        tf.nn.softmax(dense(tf.reduce_max(hidden, [1, 2]), 4, "dense"), name="y_pred")

    counted(tmp_path, build, 0)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_halves_are_left_alone(tmp_path: Path, dtype: Any) -> None:
    def build() -> None:
        x = tf.cast(image_placeholder(), dtype)
        hidden = tf.matmul(flat(x), weights("kernel", [192, 6], dtype))
        scale, offset = (weights(name, [6], dtype) for name in ("scale", "offset"))
        tf.nn.softmax(dense(hidden * scale + offset, 4, "dense"), name="y_pred")

    saved = save(tmp_path / "source", build)
    frozen = freeze(saved.folder, tmp_path)
    assert_same_answers(saved, frozen, tolerance=1e-2)
    assert "Mul" in frozen.ops


def test_doubles_are_folded(tmp_path: Path) -> None:
    def build() -> None:
        x = tf.cast(image_placeholder(), tf.float64)
        hidden = tf.matmul(weights("left", [6, 192], tf.float64), flat(x), False, True)
        hidden = tf.transpose(hidden) @ weights("kernel", [6, 6], tf.float64)
        tf.nn.softmax(dense(hidden * weights("s", [1, 6], tf.float64), 4, "dense"), name="y_pred")

    counted(tmp_path, build, 1)


def test_a_constant_that_is_no_number_per_channel_stays(tmp_path: Path) -> None:
    def build() -> None:
        hidden = conv(image_placeholder()) * weights("rows", [4, 1, 1])
        hidden = hidden * tf.constant(0.5)
        tf.nn.softmax(dense(tf.reduce_max(hidden, [1, 2]), 4, "dense"), name="y_pred")

    counted(tmp_path, build, 0)


def test_constants_are_computed_once(tmp_path: Path) -> None:
    def build() -> None:
        v = weights("v", [192, 4])
        g = weights("g", [4])
        normalised = v * (g / tf.norm(v, axis=0))  # weight normalisation
        x = image_placeholder()
        rows = tf.shape(x)[0]  # as Keras flattens
        logits = tf.matmul(tf.reshape(x, tf.stack([rows, 192])), normalised)
        tf.nn.softmax(logits, name="y_pred")

    saved = save(tmp_path / "source", build)
    plain = freeze(saved.folder, tmp_path, optimise=False)
    assert plain.outcome["optimised"] is None
    frozen = freeze(saved.folder, tmp_path)
    assert_same_answers(saved, frozen)
    assert frozen.ops == {"Placeholder", "Const", "Reshape", "MatMul", "Softmax"}
    done = frozen.outcome["optimised"]
    assert done["folded_constants"] >= 4
    assert done["nodes_before"] == plain.outcome["nodes_after"]
    assert done["nodes_after"] == frozen.outcome["nodes_after"] == 6
    assert frozen.outcome["bytes_after"] == (tmp_path / "graph.pb").stat().st_size
    assert frozen.outcome["bytes_after"] < plain.outcome["bytes_after"]
    assert sum(frozen.outcome["audit"]["ops"].values()) == 6


def test_what_would_become_large_is_not_computed(tmp_path: Path) -> None:
    def build() -> None:
        noise = tf.tile(weights("row", [1, 192]), [4000, 1])
        hidden = flat(image_placeholder())
        hidden += tf.gather(noise, tf.cast(tf.reduce_sum(hidden, 1), tf.int32))
        tf.nn.softmax(dense(hidden, 4, "dense"), name="y_pred")

    saved = save(tmp_path / "source", build)
    frozen = freeze(saved.folder, tmp_path)
    assert_same_answers(saved, frozen)
    assert frozen.outcome["bytes_after"] < 20_000, "tiled, it would be 3 MB"


@pytest.mark.parametrize("control_flow_v2", [True, False])
def test_branches_and_loops_survive(tmp_path: Path, control_flow_v2: bool) -> None:
    def build() -> None:
        x = image_placeholder()
        hidden = fused(conv(x))
        scale = weights("scale", [4])

        def body(step: Any, value: Any) -> tuple[Any, Any]:
            with v1.variable_scope("loop", reuse=v1.AUTO_REUSE):
                kernel = weights("kernel", [3, 3, 4, 4])
            inside = tf.nn.conv2d(value, kernel * 0.1, 1, "SAME") * scale
            return step + 1, tf.reshape(inside, tf.shape(value))

        hidden = v1.while_loop(lambda step, _: step < 3, body, [0, hidden])[1]
        pooled = tf.reduce_max(tf.reshape(hidden, [-1, 4, 4, 4]), [1, 2])
        logits = v1.cond(
            tf.reduce_mean(x) > 0.3,
            lambda: dense(pooled * 2, 4, "bright"),
            lambda: dense(pooled + 1, 4, "dark"),
        )
        tf.nn.softmax(tf.reshape(logits, [-1, 4]), name="y_pred")

    saved = save(tmp_path / "source", build, control_flow_v2=control_flow_v2)
    frozen = freeze(saved.folder, tmp_path)
    assert_same_answers(saved, frozen)
    assert frozen.outcome["optimised"] is not None, frozen.outcome["warnings"]
    assert frozen.outcome["optimised"]["batch_norms"] == 1
    assert {"Switch", "Merge", "NextIteration"} <= frozen.ops
    darker = Saved(folder=saved.folder, images=saved.images * 0.1, expected={})
    plain = freeze(saved.folder, tmp_path, optimise=False)
    np.testing.assert_allclose(
        frozen.answers(darker.images)[0], plain.answers(darker.images)[0], rtol=1e-5
    )


def shapes(frozen: Frozen) -> list[Any]:
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen.graph_def, name="")
        tensors = frozen.outcome["inputs"] + frozen.outcome["outputs"]
        found = [graph.get_tensor_by_name(tensor["name"]) for tensor in tensors]
        return [(tensor.name, tensor.dtype, tensor.shape.as_list()) for tensor in found]


def test_names_shapes_dtypes_and_batch_sizes_stay(tmp_path: Path) -> None:
    build = partial(one_layer, conv, fused)
    saved = save(tmp_path / "source", build)
    plain, frozen = (freeze(saved.folder, tmp_path, optimise=on) for on in (False, True))
    assert shapes(frozen) == shapes(plain)
    for count in (1, 2, 7):
        images = np.random.default_rng(count).random((count, 8, 8, 3), np.float32)
        np.testing.assert_allclose(frozen.answers(images)[0], plain.answers(images)[0], rtol=1e-5)
    for key in ("inputs", "outputs", "layers", "parameters", "removed"):
        assert frozen.outcome[key] == plain.outcome[key]


def test_what_verification_does_not_accept_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folding is right, so that it is made wrong here: the rest must notice."""
    saved = save(tmp_path / "source", partial(one_layer, conv, fused))
    plain = freeze(saved.folder, tmp_path, optimise=False)

    def wrong(graph: Graph, outputs: list[Endpoint]) -> int:
        count = fold_batch_norms(graph, outputs)
        bias = next(node for node in graph if node.name.endswith("FusedBatchNormV3/folded"))
        tensor = bias.attr["value"].tensor
        moved = tf.make_ndarray(tensor) + np.array([0, 1, 0, 0], np.float32)
        tensor.CopyFrom(tf.make_tensor_proto(moved))
        return count

    monkeypatch.setattr(module, "fold_batch_norms", wrong)
    frozen = freeze(saved.folder, tmp_path)
    assert frozen.graph_def == plain.graph_def
    assert frozen.outcome["optimised"] is None
    for key in ("verification", "audit", "bytes_after", "nodes_after"):
        assert frozen.outcome[key] == plain.outcome[key]
    (warning,) = set(frozen.outcome["warnings"]) - set(plain.outcome["warnings"])
    assert warning.startswith("The graph was not optimised: The optimised graph's y_pred:0 differs")
    assert not list(tmp_path.glob("*optimised*"))


def test_a_graph_with_nothing_to_optimise_is_written_as_it_is(tmp_path: Path) -> None:
    saved = save(tmp_path / "source", networks.plain)
    plain = freeze(saved.folder, tmp_path, optimise=False)
    frozen = freeze(saved.folder, tmp_path)
    assert frozen.graph_def == plain.graph_def
    nodes = plain.outcome["nodes_after"]
    assert frozen.outcome["optimised"] == {
        "folded_constants": 0, "batch_norms": 0, "nodes_before": nodes, "nodes_after": nodes,
    }  # fmt: skip


def test_large_weights_are_not_copied_by_the_optimizer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sees stand-ins for them: what it is given is small."""
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 1000], name="x")
        large = tf.constant(np.random.default_rng(0).random((1000, 500), np.float32))
        tf.matmul(tf.matmul(x, large), tf.ones([500, 4]) * 2.0, name="y")
    sizes: list[int] = []

    def seen(graph_def: Any, *rest: Any) -> Any:
        sizes.append(graph_def.ByteSize())
        return rewrite(graph_def, *rest)

    monkeypatch.setattr(module, "rewrite", seen)
    frozen = Graph(graph.as_graph_def())
    done = optimise(frozen, ["x:0", "y:0"], [])
    assert done.folded_constants > 0
    assert max(sizes) < 50_000
    assert sum(node.ByteSize() for node in frozen) > 2_000_000

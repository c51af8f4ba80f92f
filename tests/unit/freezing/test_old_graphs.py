"""Graphs as TensorFlow wrote them from 2015 to 2017: old versions, ops and attributes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from tests.unit.freezing import networks
from tests.unit.freezing.networks import dense, v1
from tests.unit.freezing.saved import Saved, assert_same_answers, freeze, save

Array = npt.NDArray[Any]

# Attributes that ops got after TensorFlow 0.12, each with a default that keeps what they did.
NEWER = {
    "Reshape": ("Tshape",),
    "Sum": ("Tidx",),
    "Mean": ("Tidx",),
    "ArgMax": ("Tidx", "output_type"),
    "Conv2D": ("dilations", "explicit_paddings", "data_format"),
    "MaxPool": ("explicit_paddings", "data_format"),
    "BiasAdd": ("data_format",),
    "MatMul": ("grad_a", "grad_b"),
    "Cast": ("Truncate",),
    "ExpandDims": ("Tdim",),
    "Softmax": (),
}
OLD = {"VariableV2": "Variable", "AddV2": "Add"}


def age(saved: Saved, producer: int) -> None:
    """Rewrite a checkpoint's meta graph as an old TensorFlow would have written it."""
    path = Path(f"{saved.prefix}.meta")
    meta = v1.MetaGraphDef.FromString(path.read_bytes())
    for node in meta.graph_def.node:
        node.op = OLD.get(node.op, node.op)
        for name in NEWER.get(node.op, ()):
            node.attr.pop(name, None)
        if node.op == "Placeholder":  # known in part only: an empty shape then
            del node.attr["shape"].shape.dim[:]
        if node.op == "Variable":
            node.device = "/job:ps/task:0/device:GPU:0"
    meta.graph_def.versions.producer = producer
    meta.graph_def.versions.min_consumer = 0
    meta.ClearField("meta_info_def")
    # What nobody can read any more: a class that is gone, and bytes that are no message.
    meta.collection_def["gone"].bytes_list.value.append(b"\xff\xff\xff")
    any_value = meta.collection_def["classes"].any_list.value.add()
    any_value.type_url = "type.googleapis.com/contrib.Gone"
    path.write_bytes(meta.SerializeToString())


@pytest.mark.parametrize("producer", [9, 17, 21])
@pytest.mark.parametrize("old_format", [False, True])
def test_a_checkpoint_of_an_old_tensorflow(tmp_path: Path, producer: int, old_format: bool) -> None:
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 8, 8, 3], name="x")
        kernel = v1.get_variable("kernel", [3, 3, 3, 4])
        hidden = tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), tf.ones([4]))
        hidden = tf.nn.max_pool2d(tf.nn.relu(hidden), 2, 2, "SAME")
        logits = dense(tf.reshape(hidden, [-1, 64]), 4, "dense")
        tf.nn.softmax(logits, name="y_pred")
        networks.train(logits, v1.train.AdamOptimizer())

    def saver() -> Any:
        version = v1.train.SaverDef.V1 if old_format else v1.train.SaverDef.V2
        return v1.train.Saver(write_version=version)

    saved = save(tmp_path / "source", build, saver=saver)
    age(saved, producer)
    frozen = freeze(saved.folder, tmp_path, preprocessing={"size": [8, 8], "layout": "NHWC"})
    assert_same_answers(saved, frozen)


def inception(batch_norm: bool) -> Any:
    """The beginning and the end of the Inception graph of December 2015, small, its names kept."""
    graph = v1.GraphDef()
    graph.versions.producer = 8

    def const(name: str, value: Any, dtype: Any = np.float32) -> str:
        node = graph.node.add(name=name, op="Const")
        tensor = tf.make_tensor_proto(np.asarray(value, dtype))
        node.attr["dtype"].type = tensor.dtype
        node.attr["value"].tensor.CopyFrom(tensor)
        return name

    def add(name: str, op: str, *inputs: str, **attributes: Any) -> str:
        node = graph.node.add(name=name, op=op, input=inputs)
        for key, value in attributes.items():
            if isinstance(value, bool):
                node.attr[key].b = value
            elif isinstance(value, int):
                node.attr[key].i = value
            elif isinstance(value, float):
                node.attr[key].f = value
            elif isinstance(value, str):
                node.attr[key].s = value.encode()
            elif isinstance(value, list):
                node.attr[key].list.i.extend(value)
            else:
                node.attr[key].type = value.as_datatype_enum
        return name

    floats = {"T": tf.float32}
    random = np.random.default_rng(2)
    contents = const("DecodeJpeg/contents", jpeg(), object)
    image = add("DecodeJpeg", "DecodeJpeg", contents, channels=3)
    image = add("Cast", "Cast", image, SrcT=tf.uint8, DstT=tf.float32)
    axis = const("ExpandDims/dim", 0, np.int32)
    image = add("ExpandDims", "ExpandDims", image, axis, **floats)
    size = const("ResizeBilinear/size", [16, 16], np.int32)
    image = add("ResizeBilinear", "ResizeBilinear", image, size, **floats)
    image = add("Sub", "Sub", image, const("Sub/y", 128.0), **floats)
    image = add("Mul", "Mul", image, const("Mul/y", 1 / 128), **floats)
    kernel = const("conv/conv2d_params", random.uniform(-0.3, 0.3, [3, 3, 3, 4]))
    hidden = add(
        "conv/Conv2D", "Conv2D", image, kernel, strides=[1, 2, 2, 1], padding="SAME", **floats
    )
    if batch_norm:
        sides = [const(f"conv/batchnorm/{n}", random.uniform(0.5, 1, [4])) for n in "mvbg"]
        hidden = add(
            *("conv/batchnorm", "BatchNormWithGlobalNormalization", hidden, *sides),
            **{"variance_epsilon": 0.001, "scale_after_normalization": False, **floats},
        )
    hidden = add("conv", "Relu", hidden, **floats)
    hidden = add(
        *("pool_3", "AvgPool", hidden),
        **{"ksize": [1, 8, 8, 1], "strides": [1, 1, 1, 1], "padding": "VALID", **floats},
    )
    # In 2015 the dimension of a Concat came first.
    hidden = add(
        "mixed/join", "Concat", const("mixed/dim", 3, np.int32), hidden, hidden, N=2, **floats
    )
    shape = const("pool_3/_reshape/shape", [1, 8], np.int32)
    hidden = add("pool_3/_reshape", "Reshape", hidden, shape, **floats)
    weights = const("softmax/weights", random.uniform(-1, 1, [8, 5]))
    logits = add("softmax/logits/MatMul", "MatMul", hidden, weights, **floats)
    logits = add("softmax/logits", "BiasAdd", logits, const("softmax/biases", np.ones(5)), **floats)
    add("softmax", "Softmax", logits, **floats)
    return graph


def jpeg() -> bytes:
    import io

    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(np.full([20, 30, 3], 90, np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("taken", ["Mul", "ExpandDims", "ResizeBilinear", None])
def test_the_inception_graph_of_2015(tmp_path: Path, batch_norm: bool, taken: str | None) -> None:
    """Its JPEG is a constant: whoever names no input gets the tensor behind its decoding."""
    graph_def = inception(batch_norm)
    (tmp_path / "classify_image_graph_def.pb").write_bytes(graph_def.SerializeToString())
    fields: dict[str, Any] = {"inputs": [taken]} if taken else {}
    if taken == "ExpandDims":
        fields["preprocessing"] = {"size": [20, 30]}
    frozen = freeze(tmp_path / "classify_image_graph_def.pb", tmp_path, outputs=[], **fields)
    found = frozen.outcome["inputs"][0]
    assert frozen.outcome["outputs"][0]["name"] == "softmax:0"
    assert found["name"] == f"{taken or 'ResizeBilinear'}:0"
    assert "DecodeJpeg" not in frozen.ops
    shape = [side or 16 for side in found["shape"]]
    images = np.random.default_rng(3).uniform(0, 200, shape).astype(np.float32)
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        tf.import_graph_def(graph_def, name="")
        expected = session.run("softmax:0", {found["name"]: images})
    np.testing.assert_allclose(frozen.answers(images)[0], expected, atol=1e-5)
    scale = frozen.outcome["preprocessing"]["scale"]
    assert scale == pytest.approx(1 / 128 if taken == "Mul" else 1)


def quantised(inputs: Any) -> Any:
    """As `quantize_weights` and `quantize_nodes` of the Graph Transform Tool left a layer."""
    low, high = tf.constant(-1.0), tf.constant(1.0)
    weights = tf.quantization.quantize(
        tf.random.stateless_uniform([192, 4], [1, 2], -1, 1), -1.0, 1.0, tf.quint8
    )
    taken = tf.quantization.quantize(inputs, 0.0, 1.0, tf.quint8)
    product, least, most = tf.raw_ops.QuantizedMatMul(
        a=taken[0],
        b=weights[0],
        min_a=taken[1],
        max_a=taken[2],
        min_b=low,
        max_b=high,
        Toutput=tf.qint32,
    )
    narrow = tf.raw_ops.RequantizationRange(input=product, input_min=least, input_max=most)
    small = tf.raw_ops.Requantize(
        input=product,
        input_min=least,
        input_max=most,
        requested_output_min=narrow[0],
        requested_output_max=narrow[1],
        out_type=tf.quint8,
    )
    return tf.quantization.dequantize(small[0], small[1], small[2])


def fake_quantised(inputs: Any) -> Any:
    return dense(tf.quantization.fake_quant_with_min_max_args(inputs, -1.0, 1.0), 4, "dense")


@pytest.mark.parametrize("layer", [quantised, fake_quantised])
def test_a_quantised_graph(tmp_path: Path, layer: Callable[[Any], Any]) -> None:
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, 8, 8, 3], name="x")
        v1.get_variable("unused", [1])
        tf.nn.softmax(layer(tf.reshape(x, [-1, 192])), name="y_pred")

    saved = save(tmp_path / "source", build)
    frozen = freeze(saved.folder, tmp_path)
    assert_same_answers(saved, frozen)

"""SavedModels as people exported them: which signature is meant, by which names, taking what."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from freezing.choosing.plan import NoOutputsError
from freezing.choosing.text_inputs import TextInputError
from tests.unit.freezing.networks import dense, v1
from tests.unit.freezing.saved import Frozen, freeze
from worker.errors import FreezeError, UnknownNodeError

Array = npt.NDArray[Any]
SIDE = 8
Signatures = dict[str, tuple[dict[str, str], dict[str, str]]]  # inputs and outputs by their names


def export(
    folder: Path, build: Callable[[], Any], signatures: Signatures, *, strip: bool = False
) -> Path:
    """Write a SavedModel; what `build` returns is run when it is loaded.

    With `strip`, attributes that have their default are left out, as estimators do it.
    """
    v1.disable_resource_variables()
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        v1.set_random_seed(3)
        init = build()
        session.run(v1.global_variables_initializer())
        find = graph.get_tensor_by_name
        definitions = {
            name: v1.saved_model.signature_def_utils.build_signature_def(
                *(
                    {
                        key: v1.saved_model.build_tensor_info(find(text))
                        for key, text in side.items()
                    }
                    for side in sides
                ),
                method_name="tensorflow/serving/predict",
            )
            for name, sides in signatures.items()
        }
        builder = v1.saved_model.Builder(str(folder))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            definitions,
            strip_default_attrs=strip,
            main_op=init,
            assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
        )
        builder.save()
    return folder


def served(folder: Path, output: str, feed: str, value: Any) -> Array:
    """Return what TensorFlow's own loader answers."""
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        v1.saved_model.load(session, ["serve"], str(folder))
        answer: Array = session.run(output, {feed: value})
        return answer


def same(frozen: Frozen, images: Array, expected: Array) -> None:
    np.testing.assert_allclose(frozen.answers(images)[0], expected, atol=1e-5)


def images(*shape: int) -> Array:
    return np.random.default_rng(1).uniform(0, 1, shape).astype(np.float32)


def told(frozen: Frozen, words: str) -> bool:
    return any(words in warning for warning in frozen.outcome["warnings"])


# -- names ------------------------------------------------------------------------------------


def classifier() -> None:
    x = v1.placeholder(tf.float32, [None, SIDE, SIDE, 3], name="tower_0/input")
    logits = dense(tf.reshape(x, [-1, SIDE * SIDE * 3]), 4, "tower_0/dense")
    tf.nn.softmax(logits, name="tower_0/softmax")
    tf.argmax(logits, 1, name="tower_0/classes")


CLASSIFIER: Signatures = {
    "serving_default": (
        {"image": "tower_0/input:0"},
        {
            "classes": "tower_0/classes:0",
            "probabilities": "tower_0/softmax:0",
            "logits": "tower_0/dense/add:0",
        },
    ),
    "features": ({"image": "tower_0/input:0"}, {"vector": "tower_0/dense/add:0"}),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tmp_path_factory.mktemp("exported") / "model", classifier, CLASSIFIER)


@pytest.mark.parametrize(
    ("fields", "output"),
    [
        ({}, "tower_0/softmax"),
        ({"signature": "features"}, "tower_0/dense/add"),
        ({"outputs": ["logits"]}, "tower_0/dense/add"),
        ({"outputs": ["probabilities", "classes"]}, "tower_0/softmax"),
        ({"outputs": ["vector"], "signature": "features"}, "tower_0/dense/add"),
        ({"outputs": ["tower_0/softmax:0"], "inputs": ["image"]}, "tower_0/softmax"),
    ],
)
def test_a_signature_chooses_and_its_names_are_understood(
    model: Path, tmp_path: Path, fields: dict[str, Any], output: str
) -> None:
    frozen = freeze(model, tmp_path, **{"outputs": [], **fields})
    assert frozen.outcome["inputs"][0]["name"] == "tower_0/input:0"
    assert frozen.outcome["outputs"][0]["name"] == f"{output}:0"
    fed = images(3, SIDE, SIDE, 3)
    same(frozen, fed, served(model, f"{output}:0", "tower_0/input:0", fed))


def test_what_was_chosen_among_several_outputs_is_told(model: Path, tmp_path: Path) -> None:
    frozen = freeze(model, tmp_path, outputs=[])
    assert told(frozen, "output 'probabilities' of the signature 'serving_default'")


def test_a_name_that_is_neither_a_nodes_nor_a_signatures_is_refused(
    model: Path, tmp_path: Path
) -> None:
    with pytest.raises(UnknownNodeError, match="no node 'probabilitys'"):
        freeze(model, tmp_path, outputs=["probabilitys"])


def test_a_name_that_is_a_nodes_and_a_signatures_is_the_nodes_unless_that_was_named(
    tmp_path: Path,
) -> None:
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, SIDE, SIDE, 3], name="x")
        scores = tf.matmul(tf.reshape(x, [-1, 192]), v1.get_variable("w", [192, 4]), name="scores")
        tf.nn.softmax(scores, name="squashed")

    signature = ({"x": "x:0"}, {"scores": "squashed:0"})
    folder = export(tmp_path / "m", build, {"serving_default": signature})
    unnamed = freeze(folder, tmp_path, outputs=["scores"])
    assert unnamed.outcome["outputs"][0]["name"] == "scores:0"
    assert told(unnamed, "also what the signature 'serving_default' calls squashed:0")
    named = freeze(folder, tmp_path, outputs=["scores"], signature="serving_default")
    assert named.outcome["outputs"][0]["name"] == "squashed:0"


def test_outputs_that_are_equally_likely_are_listed(tmp_path: Path) -> None:
    def build() -> None:
        x = v1.placeholder(tf.float32, [None, SIDE, SIDE, 3], name="x")
        for name in ("age", "gender"):
            tf.nn.softmax(dense(tf.reshape(x, [-1, 192]), 4, name), name=f"{name}_prob")

    outputs = {"age_prob": "age_prob:0", "gender_prob": "gender_prob:0"}
    folder = export(tmp_path / "m", build, {"serving_default": ({"x": "x:0"}, outputs)})
    with pytest.raises(NoOutputsError, match="age_prob, gender_prob"):
        freeze(folder, tmp_path, outputs=[])


# -- text that is decoded in the graph --------------------------------------------------------


def mnist() -> Any:
    """TensorFlow Serving's mnist example: examples are parsed, classes come from a table."""
    serialized = v1.placeholder(tf.string, name="tf_example")
    features = {"x": tf.io.FixedLenFeature(shape=[784], dtype=tf.float32)}
    x = tf.identity(v1.parse_example(serialized, features)["x"], name="x")
    weights = v1.get_variable("weights", [784, 10])
    y = tf.nn.softmax(tf.matmul(x, weights), name="y")
    values, indices = tf.nn.top_k(y, 10)
    table = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(
            tf.range(10, dtype=tf.int64), tf.constant([f"digit {n}" for n in range(10)])
        ),
        "?",
    )
    tf.identity(table.lookup(tf.cast(indices, tf.int64)), name="classes")
    tf.identity(values, name="values")
    return v1.tables_initializer()


def test_a_signature_that_takes_numbers_goes_before_one_that_takes_examples(
    tmp_path: Path,
) -> None:
    folder = export(
        tmp_path / "m",
        mnist,
        {
            "predict_images": ({"images": "x:0"}, {"scores": "y:0"}),
            "serving_default": (
                {"inputs": "tf_example:0"},
                {"classes": "classes:0", "scores": "values:0"},
            ),
        },
    )
    frozen = freeze(folder, tmp_path, outputs=[])
    assert told(frozen, "'serving_default' takes text; 'predict_images'")
    fed = images(3, 784)
    same(frozen, fed, served(folder, "y:0", "x:0", fed))


def test_the_tensor_behind_the_parsing_of_examples_is_the_input(tmp_path: Path) -> None:
    signature = ({"inputs": "tf_example:0"}, {"scores": "y:0"})
    folder = export(tmp_path / "m", mnist, {"serving_default": signature})
    frozen = freeze(folder, tmp_path, outputs=[])
    assert told(frozen, "'tf_example' takes text; x:0, behind its decoding")
    fed = images(3, 784)
    same(frozen, fed, served(folder, "y:0", "x:0", fed))
    with pytest.raises(TextInputError, match=r"tf_example:0 takes text.*most likely x:0"):
        freeze(folder, tmp_path, outputs=["y"], inputs=["tf_example"])


def decode(text: Any, scale: bool) -> Any:
    image = tf.image.decode_jpeg(text, channels=3)
    if scale:
        image = tf.image.convert_image_dtype(image, tf.float32)
    image = v1.image.resize_bilinear(tf.expand_dims(tf.cast(image, tf.float32), 0), [SIDE, SIDE])
    return tf.squeeze(image, [0])


def network(batch: Any, scaled: bool) -> None:
    normal = (batch - 0.5) * 2 if scaled else (batch - 128) / 128
    tf.nn.softmax(dense(tf.reshape(normal, [-1, 192]), 4, "dense"), name="y")


def one_encoded(scale: bool) -> None:
    text = v1.placeholder(tf.string, [], name="DecodeJpeg/contents")
    network(tf.expand_dims(decode(text, scale), 0, name="batch"), scale)


def many_encoded(scale: bool) -> None:
    texts = v1.placeholder(tf.string, [None], name="bytes")
    batch = tf.map_fn(lambda text: decode(text, scale), texts, dtype=tf.float32)
    network(tf.reshape(batch, [-1, SIDE, SIDE, 3], name="batch"), scale)


def examples_of_encoded(scale: bool) -> None:
    serialized = v1.placeholder(tf.string, [None], name="examples")
    spec = {"image/encoded": tf.io.FixedLenFeature([], tf.string)}
    texts = v1.parse_example(serialized, spec)["image/encoded"]
    batch = tf.map_fn(lambda text: decode(text, scale), texts, dtype=tf.float32)
    network(tf.reshape(batch, [-1, SIDE, SIDE, 3], name="batch"), scale)


@pytest.mark.parametrize("scale", [False, True])
@pytest.mark.parametrize(
    ("build", "text"),
    [
        (one_encoded, "DecodeJpeg/contents"),
        (many_encoded, "bytes"),
        (examples_of_encoded, "examples"),
    ],
)
def test_encoded_images_are_decoded_before_the_graph(
    tmp_path: Path, build: Callable[[bool], None], text: str, scale: bool
) -> None:
    signature = ({"image_bytes": f"{text}:0"}, {"scores": "y:0"})
    folder = export(tmp_path / "m", lambda: build(scale), {"serving_default": signature})
    frozen = freeze(folder, tmp_path, outputs=[])
    taken = frozen.outcome["inputs"][0]
    assert told(frozen, f"'{text}' takes text; {taken['name']}")
    assert taken["shape"][1:] == [SIDE, SIDE, 3]
    # As decoded, an image has values from 0 to 255; `convert_image_dtype` makes them 0 to 1.
    assert frozen.outcome["preprocessing"]["scale"] == pytest.approx(1 / 255 if scale else 1)
    assert not frozen.ops & {"DecodeJpeg", "ParseExampleV2", "ParseExample"}
    fed = images(1, SIDE, SIDE, 3)
    same(frozen, fed, served(folder, "y:0", taken["name"], fed))


def test_text_that_goes_several_ways_is_refused(tmp_path: Path) -> None:
    def build() -> None:
        text = v1.placeholder(tf.string, [], name="text")
        length = tf.cast(tf.strings.length(text), tf.float32)
        network(tf.expand_dims(decode(text, scale=False) + length, 0), scaled=False)
        tf.add(
            tf.nn.softmax(tf.ones([1, 4]) * length),
            v1.get_default_graph().get_tensor_by_name("y:0"),
            name="both",
        )

    folder = export(tmp_path / "m", build, {"serving_default": ({"t": "text:0"}, {"y": "both:0"})})
    with pytest.raises(FreezeError, match="text"):
        freeze(folder, tmp_path, outputs=[])


# -- attributes that are left out -------------------------------------------------------------


def estimator() -> None:
    x = v1.placeholder(tf.float32, [None, SIDE, SIDE, 3], name="x")
    is_training = v1.placeholder_with_default(False, [], name="is_training")
    kernel = v1.get_variable("kernel", [3, 3, 3, 4])
    scale, offset, mean, variance = (
        v1.get_variable(name, [4], initializer=v1.ones_initializer())
        for name in ("gamma", "beta", "mean", "variance")
    )
    hidden = tf.nn.conv2d(x, kernel, 1, "SAME")

    def normal(training: bool) -> Any:
        moving = {} if training else {"mean": mean, "variance": variance}
        # `is_training` is true by default, and left out in the branch that is not taken.
        return v1.nn.fused_batch_norm(hidden, scale, offset, is_training=training, **moving)[0]

    hidden = v1.cond(is_training, lambda: normal(True), lambda: normal(False))
    hidden = tf.nn.max_pool2d(tf.nn.relu(hidden), 2, 2, "SAME")
    hidden = tf.nn.bias_add(dense(tf.reshape(hidden, [-1, 64]), 4, "logits"), tf.ones([4]))
    probabilities = tf.nn.softmax(hidden, name="probabilities")
    tf.identity(
        tf.gather(tf.constant(["a", "b", "c", "d"]), tf.argmax(probabilities, 1)), "classes"
    )


@pytest.mark.parametrize("control_flow_v2", [False, True])
def test_attributes_that_were_left_out_have_their_defaults(
    tmp_path: Path, control_flow_v2: bool
) -> None:
    v1.enable_control_flow_v2() if control_flow_v2 else v1.disable_control_flow_v2()
    outputs = {"classes": "classes:0", "probabilities": "probabilities:0"}
    signature = {"serving_default": ({"x": "x:0"}, outputs)}
    folder = export(tmp_path / "m", estimator, signature, strip=True)
    for fields in ({}, {"set": {"is_training": False}}, {"optimise": False}):
        frozen = freeze(folder, tmp_path, outputs=[], **fields)
        assert frozen.outcome["labels"] == ["a", "b", "c", "d"]
        assert not told(frozen, "statistics of the batch")
        fed = images(3, SIDE, SIDE, 3)
        same(frozen, fed, served(folder, "probabilities:0", "x:0", fed))
    training = freeze(folder, tmp_path, outputs=[], set={"is_training": True})
    assert told(training, "statistics of the batch")

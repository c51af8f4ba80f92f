"""How images are prepared, as a graph shows it: in its arithmetic, its statistics, its names."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from freezing.choosing.preprocessing.clues import PreprocessingClues, look
from freezing.choosing.preprocessing.deciding import decide
from freezing.choosing.preprocessing.spread import AnsweredRange, answered_range, photographs
from freezing.choosing.preprocessing_guess import guess_before
from freezing.graph.graph import Endpoint, Graph
from worker.models.manifest import Tensor

v1 = tf.compat.v1
SIDE = 16
CAFFE = [103.939, 116.779, 123.68]
IMAGENET = [0.485, 0.456, 0.406]


def made(
    build: Callable[[Any], Any], shape: Any = None, dtype: str = "float32"
) -> PreprocessingClues:
    """Return what is found in a small network behind what `build` does to its input `x`."""
    shape = shape or [None, SIDE, SIDE, 3]
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(dtype, shape, name="x")
        pixels = build(x)
        layout = "NCHW" if pixels.shape[1] == 3 else "NHWC"
        kernel = np.random.default_rng(0).normal(size=[3, 3, pixels.shape[3], 4])
        if layout == "NHWC":
            pixels = tf.nn.conv2d(pixels, kernel.astype("float32"), 2, "SAME", name="first")
        tf.nn.softmax(tf.reshape(pixels, [-1, 4]), name="y")
    taken = Tensor(name="x:0", dtype=dtype, shape=shape)
    return look(
        Graph(graph.as_graph_def()), taken, Tensor(name="y:0", dtype="float32", shape=[None, 4])
    )


def split_off_means(x: Any) -> Any:
    """As the VGG of machrisaa, and many others, turns RGB into what Caffe takes."""
    red, green, blue = tf.split(x, 3, 3)
    return tf.concat([blue - CAFFE[0], green - CAFFE[1], red - CAFFE[2]], 3)


def piled(x: Any) -> Any:
    red, green, blue = tf.unstack(x, axis=3)
    return tf.stack([blue - CAFFE[0], green - CAFFE[1], red - CAFFE[2]], 3)


def normalised(x: Any) -> Any:
    """As a Normalization layer of Keras does it."""
    mean = tf.constant([[[IMAGENET]]])
    variance = tf.constant([[[[0.0524, 0.0502, 0.0506]]]])
    return (x - mean) / tf.maximum(tf.sqrt(variance), 1e-7)


def by_rsqrt(x: Any) -> Any:
    """As Caffe's data_bn was exported."""
    factor = tf.math.rsqrt(tf.constant([1.0, 1.0, 1.0]) + 1e-5)
    return x * factor + (-tf.constant([104.0, 117.0, 123.0]) * factor)


@pytest.mark.parametrize(
    ("build", "preset", "color"),
    [
        (lambda x: x / 255, "raw", None),
        (lambda x: x * (1 / 127.5) - 1, "raw", None),
        (lambda x: (x - 128) / 128, "raw", None),
        (lambda x: 1 - x / 255, "raw", None),
        (lambda x: tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]) / 255, "raw", None),
        (lambda x: x * 2 - 1, "zero_one", None),
        (lambda x: x * 255, "zero_one", None),
        (lambda x: (x + 1) / 2, "minus_one_one", None),
        (split_off_means, "raw", "rgb"),
        (lambda x: split_off_means(x * 255), "zero_one", "rgb"),
        (piled, "raw", "rgb"),
        (lambda x: x[..., ::-1] - tf.constant(CAFFE), "raw", "rgb"),
        (lambda x: tf.reverse(x, [-1]) - tf.constant(CAFFE), "raw", "rgb"),
        (lambda x: tf.gather(x, [2, 1, 0], axis=3) - tf.constant(CAFFE), "raw", "rgb"),
        (lambda x: x - tf.constant(CAFFE), "raw", "bgr"),
        (by_rsqrt, "raw", "bgr"),
        (normalised, "zero_one", "rgb"),
        (lambda x: normalised(x / 255), "raw", "rgb"),
        (lambda x: (x - 118.0) / 61.0, "raw", None),  # a Normalization that was adapted to data
        (lambda x: (x - 0.46) / 0.24, "zero_one", None),
        # A layer that scales, and behind it a normalisation of whatever data.
        (lambda x: (x / 127.5 - 1 - tf.constant([0.1, 0.2, 0.3])) / [1.0, 1.4, 1.7], "raw", None),
        (lambda x: tf.concat([y * 3 for y in tf.split(x / 255, 3, 3)], 3) + 9, "raw", None),
    ],
)
def test_arithmetic_behind_the_input_tells_what_it_takes(
    build: Callable[[Any], Any], preset: str, color: str | None
) -> None:
    reading = made(build).reading
    assert reading.scaling is not None
    assert reading.scaling.preset == preset
    assert reading.color == color
    assert reading.reasons


@pytest.mark.parametrize(
    "build",
    [
        lambda x: x,
        lambda x: x[..., ::-1],
        lambda x: x + 0.1,
        lambda x: x * 17.0,
        lambda x: tf.nn.relu(x) / 255,
        lambda x: x * tf.constant([1 / 255, 1 / 100, 1 / 255]) + 9,
        lambda x: tf.concat([x / 255, x], 3),
        lambda x: x / tf.reduce_mean(x),
        lambda x: 255 / (x + 1),
        lambda x: x * 0.0,
        lambda x: x / 0.0,
    ],
)
def test_arithmetic_that_fits_several_ranges_or_none_tells_nothing(
    build: Callable[[Any], Any],
) -> None:
    assert made(build).reading.scaling is None


def test_means_that_are_like_those_of_imagenet_tell_no_order_of_colours() -> None:
    """A Normalization layer that was adapted to other pictures, which happen to be bluish."""
    near = [0.401, 0.461, 0.49]
    reading = made(lambda x: (x / 255 - tf.constant(near)) / 0.226).reading
    assert (reading.scaling is not None, reading.color) == (True, None)


@pytest.mark.parametrize("means", [[104.0, 117.0, 123.0], [103.53, 116.28, 123.675]])
def test_means_of_imagenet_are_known_however_they_are_rounded(means: list[float]) -> None:
    assert made(lambda x: x - tf.constant(means)).reading.color == "bgr"


def test_means_are_followed_through_other_layouts() -> None:
    means = tf.constant(CAFFE)
    nchw = made(lambda x: tf.transpose(x, [0, 2, 3, 1]) - tf.constant(CAFFE), [None, 3, SIDE, SIDE])
    assert nchw.reading.color == "bgr"
    flat = made(lambda x: tf.reshape(x, [-1, SIDE, SIDE, 3]) - means.numpy(), [None, SIDE**2 * 3])
    assert flat.reading.color == "bgr"
    assert flat.channels == 3


def test_an_input_of_whole_numbers_takes_pixels_as_they_are() -> None:
    found = made(lambda x: tf.cast(x, tf.float32), dtype="uint8")
    assert found.reading.scaling is not None
    assert found.reading.scaling.preset == "raw"


def test_what_lies_between_a_decoder_and_an_input_is_what_a_worker_does() -> None:
    with tf.Graph().as_default() as graph:
        text = v1.placeholder(tf.string, [], name="text")
        image = tf.cast(tf.image.decode_jpeg(text, channels=3, name="decoded"), tf.float32)
        begin = tf.maximum(tf.shape(image) // 8, 0)
        image = tf.slice(image, tf.concat([begin[:2], [0]], 0), [64, 64, 3])
        tf.subtract(tf.stack([image[..., ::-1]]), tf.constant(CAFFE), name="given")
    guess = guess_before(Graph(graph.as_graph_def()), Endpoint("given", 0))
    assert guess.spec.scale == 1.0
    assert guess.spec.mean == pytest.approx(CAFFE)
    assert (guess.spec.color, guess.kind) == ("bgr", "read")


# -- statistics ----------------------------------------------------------------------------------


def trained(
    fed: Callable[[Any], Any],
    where: str,
    channels: int = 3,
    left: float = 0.0,
    names: tuple[str, ...] = (),
) -> PreprocessingClues:
    """Return what is found in a network whose normalisation has seen made up photographs.

    Of the mean of 0 and variance of 1 that it began with, the share `left` is still in it.
    """
    pictures = fed(photographs(64, 64, channels)).astype("float32")
    kernel = np.random.default_rng(2).normal(size=[3, 3, channels, 16]).astype("float32")
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, 64, 64, channels], name="x")
        answer = x if where == "first" else tf.nn.conv2d(x, kernel, 1, "VALID")
        if where == "biased":
            answer = tf.nn.bias_add(answer, np.linspace(-1, 1, 16).astype("float32"))
        if where == "rectified":
            answer = tf.nn.relu(answer)
        with v1.Session() as session:
            seen = session.run(answer, {x: pictures})
        count = seen.shape[-1]
        normal, *_ = v1.nn.fused_batch_norm(
            answer,
            np.ones(count, "float32"),
            np.zeros(count, "float32"),
            seen.mean((0, 1, 2)) * (1 - left),
            seen.var((0, 1, 2)) * (1 - left) + left,
            is_training=False,
        )
        for name in names:
            normal = tf.nn.relu(normal, name=name)
        tf.nn.softmax(tf.reduce_mean(normal, [1, 2]), name="y")
    return look(
        Graph(graph.as_graph_def()),
        Tensor(name="x:0", dtype="float32", shape=[None, 64, 64, channels]),
        Tensor(name="y:0", dtype="float32", shape=[None, count]),
    )


@pytest.mark.parametrize("where", ["first", "conv", "biased", "rectified"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("fed", "preset"),
    [
        (lambda x: x * 255, "raw"),
        (lambda x: x, "zero_one"),
        (lambda x: x * 2 - 1, "minus_one_one"),
    ],
)
def test_a_first_normalisation_tells_what_it_was_trained_on(
    fed: Callable[[Any], Any], preset: str, where: str, channels: int
) -> None:
    measured = trained(fed, where, channels).moments
    assert measured.scaling is not None
    assert measured.scaling.preset == preset


@pytest.mark.parametrize("left", [0.02, 0.1, 0.25, 0.37, 0.6])
@pytest.mark.parametrize("where", ["first", "conv"])
@pytest.mark.parametrize(
    ("fed", "preset"), [(lambda x: x, "zero_one"), (lambda x: x * 2 - 1, "minus_one_one")]
)
def test_a_normalisation_that_saw_few_pictures_is_not_read_as_another_range(
    fed: Callable[[Any], Any], preset: str, where: str, left: float
) -> None:
    """Its variance is still of what it began with, and seems that of a larger range."""
    guess = decide(trained(fed, where, left=left))
    assert guess.kind == "assumed" or guess.spec.preset == preset


def test_what_a_library_trained_does_not_tell_what_came_after_it() -> None:
    names = ("bn_Conv1", "expanded_conv_depthwise", "block_1_expand")  # MobileNetV2
    assert decide(trained(lambda x: x * 1.6 - 1, "conv")).kind == "read"
    kept = decide(trained(lambda x: x * 1.6 - 1, "conv", names=names))
    assert (kept.spec.preset, kept.kind) == ("minus_one_one", "assumed")
    own = decide(trained(lambda x: x * 0.8, "conv", names=names))  # darker than ImageNet's
    assert (own.spec.preset, own.kind) == ("zero_one", "read")


def test_a_normalisation_that_was_never_trained_tells_nothing() -> None:
    def build(x: Any) -> Any:
        ones, zeros = np.ones(3, "float32"), np.zeros(3, "float32")
        return v1.nn.fused_batch_norm(x, ones, zeros, zeros, ones, is_training=False)[0]

    assert made(build).moments.scaling is None


# -- names ---------------------------------------------------------------------------------------


def named(
    *names: str,
    output: str = "y",
    classes: int = 5,
    first: str = "x",
    prepare: Callable[[Any], Any] = lambda x: x,
) -> PreprocessingClues:
    """Return what is found in a graph that has nodes of these names."""
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, SIDE, SIDE, 3], name=first)
        kernel = np.ones([1, 1, 3, classes], "float32")
        answer = tf.nn.conv2d(prepare(x), kernel, 1, "SAME")
        for name in names:
            answer = tf.nn.relu(answer, name=name)
        tf.nn.softmax(tf.reduce_mean(answer, [1, 2]), name=output)
    return look(
        Graph(graph.as_graph_def()),
        Tensor(name=f"{first}:0", dtype="float32", shape=[None, SIDE, SIDE, 3]),
        Tensor(name=f"{output}:0", dtype="float32", shape=[None, classes]),
    )


@pytest.mark.parametrize(
    ("names", "preset"),
    [
        (("model/block1_conv1/Relu", "model/block5_conv3/Relu"), "caffe"),
        (("functional_1/vgg16_1/block1_conv1_1/Relu", "f/block5_conv3_1/Relu"), "caffe"),
        (("res2a_branch2a/Relu", "res5c_branch2c/Relu"), "caffe"),
        (("conv2_block1_preact_bn/Relu", "post_bn/Relu"), "minus_one_one"),
        (
            ("m/bn_Conv1/Relu", "m/expanded_conv_depthwise/Relu", "m/block_1_expand"),
            "minus_one_one",
        ),
        (("mixed0/concat", "mixed9/concat", "mixed10/concat"), "minus_one_one"),
        (("stem_conv", "block1a_dwconv", "block2a_expand_conv"), "imagenet"),
    ],
)
def test_a_network_of_keras_is_told_by_its_layers(names: tuple[str, ...], preset: str) -> None:
    """With ImageNet's classes it is recognised; trained further it may be fed otherwise."""
    further = decide(named(*names))
    assert (further.spec.preset, further.kind) == (preset, "assumed")
    assert [one.preprocessing.preset for one in further.alternatives] == ["zero_one"]
    whole = decide(named(*names, classes=1000))
    assert (whole.spec.preset, whole.kind) == (preset, "recognised")
    # Others have trained the same layers, with a class for the background and in another way.
    assert decide(named(*names, classes=1001)).kind == "assumed"


def test_a_network_of_tf_slim_takes_off_the_means_of_its_library() -> None:
    guess = decide(named("vgg_16/conv1/conv1_1/Relu", classes=1000))
    assert guess.spec.mean == [123.68, 116.78, 103.94]
    assert guess.spec.color == "rgb"


def test_what_is_read_wins_over_what_is_recognised() -> None:
    names = ("model/block1_conv1/Relu", "model/block5_conv3/Relu")
    with tf.Graph().as_default() as graph:
        x = v1.placeholder(tf.float32, [None, SIDE, SIDE, 3], name="x")
        answer = tf.nn.conv2d(x / 255, np.ones([1, 1, 3, 5], "float32"), 1, "SAME")
        for name in names:
            answer = tf.nn.relu(answer, name=name)
        tf.nn.softmax(tf.reduce_mean(answer, [1, 2]), name="y")
    found = look(
        Graph(graph.as_graph_def()),
        Tensor(name="x:0", dtype="float32", shape=[None, SIDE, SIDE, 3]),
        Tensor(name="y:0", dtype="float32", shape=[None, 5]),
    )
    assert found.family is not None
    guess = decide(found)
    assert (guess.spec.preset, guess.kind, guess.kinds["color"]) == ("raw", "read", "assumed")


TEACHABLE = (
    "sequential_4/sequential_1/model1/Conv1/Relu",
    "sequential_4/sequential_1/global_average_pooling2d_GlobalAveragePooling2D1/Relu",
    "sequential_4/sequential_3/dense_Dense1/Relu",
    "sequential_4/sequential_3/dense_Dense2/Relu",
)


def test_products_are_recognised_with_the_reason_in_words() -> None:
    guess = decide(named(*TEACHABLE))
    assert (guess.spec.preset, guess.spec.color, guess.spec.resize) == (
        *("minus_one_one", "rgb", "crop"),
    )
    assert (guess.kind, guess.kinds["color"]) == ("recognised", "recognised")
    assert "Teachable Machine" in guess.reasons[0]
    tutorial = ("Conv2D_1", "MaxPool", "Variable", "Variable_1")
    guess = decide(named(*tutorial, output="y_pred"))
    assert (guess.spec.preset, guess.spec.color, guess.kind) == ("zero_one", "bgr", "recognised")
    assert guess.kinds["color"] == "assumed"  # the graph is the same with another reader of images
    guess = decide(named("data_bn/data_bn/mul", first="Placeholder", output="loss"))
    assert (guess.spec.preset, guess.spec.color, guess.kind) == ("raw", "bgr", "recognised")


def test_only_the_input_that_retrain_py_made_is_recognised_as_its_own() -> None:
    parts = ("MobilenetV1/Relu", "final_training_ops/Relu")
    guess = decide(named(*parts, first="input", output="final_result"))
    assert (guess.spec.preset, guess.kind) == ("minus_one_one", "recognised")
    module = named(*parts, first="Placeholder", output="final_result")  # of TensorFlow Hub
    assert module.exporter is None
    assert decide(module).kind == "assumed"


@pytest.mark.parametrize(
    "prepare",
    [
        tf.image.per_image_standardization,
        lambda x: tf.clip_by_value(x, 0, 6),
        lambda x: x[..., ::-1],
    ],
)
@pytest.mark.parametrize("names", [("block1_conv1", "block5_conv3"), TEACHABLE])
def test_a_known_network_behind_something_else_is_not_fed_as_usual(
    prepare: Callable[[Any], Any], names: tuple[str, ...]
) -> None:
    guess = decide(named(*names, classes=1000, prepare=prepare))
    assert guess.kind == "assumed"
    assert guess.kinds["color"] == "assumed"


def test_a_product_whose_graph_was_changed_says_no_more_than_is_read() -> None:
    tutorial = ("Conv2D_1", "MaxPool", "Variable", "Variable_1")
    guess = decide(named(*tutorial, output="y_pred", prepare=lambda x: x / 255))
    assert (guess.spec.preset, guess.kind, guess.kinds["color"]) == ("raw", "read", "assumed")
    assert len(guess.reasons) == 1
    guess = decide(named(*TEACHABLE, prepare=lambda x: x / 127.5 - 1))
    assert (guess.spec.preset, guess.kind, guess.kinds["color"]) == ("raw", "read", "assumed")


def test_an_order_of_colours_that_was_measured_is_assumed() -> None:
    """Photographs of the sky have, in the other order, the means of ImageNet."""
    means, deviation = np.array(IMAGENET[::-1], "float32"), np.float32(0.25)

    def build(x: Any) -> Any:
        ones, zeros = np.ones(3, "float32"), np.zeros(3, "float32")
        variance = np.full(3, deviation**2)
        return v1.nn.fused_batch_norm(x, ones, zeros, means, variance, is_training=False)[0]

    guess = decide(made(build))
    assert (guess.spec.preset, guess.spec.color, guess.kind) == ("zero_one", "bgr", "read")
    assert guess.kinds["color"] == "assumed"


def test_what_a_network_answers_to_makes_a_recognised_product_doubtful() -> None:
    tutorial = named("Conv2D_1", "MaxPool", "Variable", "Variable_1", output="y_pred")
    guess = decide(tutorial, AnsweredRange("raw", "because"))
    assert (guess.spec.preset, guess.kind, guess.kinds["color"]) == ("raw", "assumed", "assumed")


def test_nothing_known_is_assumed() -> None:
    guess = decide(made(lambda x: x))
    assert guess.kind == "assumed"
    assert guess.spec.preset is None


# -- answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["Softmax", "Sigmoid", "BiasAdd"])
@pytest.mark.parametrize(("factor", "fed"), [(4.0, "zero_one"), (4.0 / 255, "raw")])
def test_a_network_answers_to_the_range_it_was_trained_on(op: str, factor: float, fed: str) -> None:
    weights = np.random.default_rng(2).normal(size=[SIDE * SIDE * 3, 1 if op == "Sigmoid" else 6])
    weights *= factor / np.sqrt(len(weights))

    def run(pictures: Any) -> Any:
        logits = pictures.reshape(len(pictures), -1).astype(float) @ weights
        if op == "Softmax":
            raised = np.exp(logits - logits.max(1, keepdims=True))
            return (raised / raised.sum(1, keepdims=True)).astype("float32").astype(float)
        if op == "Sigmoid":
            return (1 / (1 + np.exp(-np.clip(logits, -80, 80)))).astype("float32").astype(float)
        return logits

    answered = answered_range(run, photographs(SIDE, SIDE, 3), op)
    assert answered is not None
    assert answered.fed == fed


def test_a_network_that_does_not_care_tells_nothing() -> None:
    pictures = photographs(SIDE, SIDE, 3)

    def run(pictures: Any) -> Any:
        rows = pictures.reshape(len(pictures), -1).astype(float)
        centred = rows - rows.mean(1, keepdims=True)
        return (centred / centred.std(1, keepdims=True))[:, :5]

    assert answered_range(run, pictures, "BiasAdd") is None
    assert answered_range(lambda rows: np.full([len(rows), 2], np.nan), pictures, "BiasAdd") is None

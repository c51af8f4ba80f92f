"""SavedModels of TensorFlow 2: with signatures, without, read and never loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf

from freezing.sources.opening import open_source
from freezing.sources.saved_model import UnknownSignatureError
from tests.unit.freezing.saved import Frozen, freeze, v1
from worker.errors import SourceError
from worker.sources.choice import SourceChoice

Array = npt.NDArray[Any]
IMAGES = np.random.default_rng(5).uniform(size=[3, 8, 8, 3]).astype(np.float32)


@pytest.fixture(autouse=True)
def _as_tensorflow_2() -> None:
    """Undo what other tests switch for graphs of TensorFlow 1."""
    v1.enable_resource_variables()
    v1.enable_control_flow_v2()


def traced(*specs: Any) -> Callable[[Callable[..., Any]], Any]:
    """Make a `tf.function`, for one signature where `specs` are given."""

    def decorate(function: Callable[..., Any]) -> Any:
        return tf.function(function, input_signature=specs or None)

    return decorate


class Network(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """A dense layer with what makes reading difficult: two variables of one name, a constant."""

    def __init__(self) -> None:
        super().__init__()
        random = np.random.default_rng(6)
        self.layers = [
            tf.Variable(random.normal(size=shape).astype(np.float32), name="kernel")
            for shape in ([192, 4], [4, 3])
        ]
        self.offset = tf.constant([0.1, 0.2, 0.3])

    def logits(self, image: Any) -> Any:
        hidden = tf.reshape(image, [-1, 192])
        for kernel in self.layers:
            hidden = hidden @ kernel
        return hidden + self.offset

    @traced()
    def __call__(self, image: Any, training: bool = False) -> Any:
        if training:
            image = image + tf.random.normal(tf.shape(image))
        return tf.nn.softmax(self.logits(image))

    @traced(tf.TensorSpec([None, 8, 8, 3], tf.float32, name="photo"))
    def serve(self, photo: Any) -> Any:
        logits = self.logits(photo)
        return {"scores": tf.nn.softmax(logits), "best": tf.argmax(logits, 1), "logits": logits}

    @traced(tf.TensorSpec([None, 8, 8, 3], tf.float32))
    def backwards(self, x: Any) -> Any:
        return {"y": tf.nn.softmax(self.logits(x[:, ::-1]))}


def _spec() -> Any:
    return tf.TensorSpec([None, 8, 8, 3], tf.float32, name="image")


@pytest.fixture(scope="module")
def network() -> Network:
    return Network()


@pytest.fixture(scope="module")
def signed(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two signatures, of which one is the usual one."""
    folder = tmp_path_factory.mktemp("signed") / "net"
    signatures = {"backwards": network.backwards, "serving_default": network.serve}
    tf.saved_model.save(network, str(folder), signatures=signatures)
    return folder


@pytest.fixture(scope="module")
def unsigned(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """No signature; `__call__` was traced in training first."""
    folder = tmp_path_factory.mktemp("unsigned") / "net"
    fresh = Network()
    fresh.layers = network.layers
    for training in (True, False):
        fresh.__call__.get_concrete_function(_spec(), training=training)
    tf.saved_model.save(fresh, str(folder))
    return folder


def _assert_answers(frozen: Frozen, expected: Any) -> None:
    np.testing.assert_allclose(frozen.answers(IMAGES)[0], expected, atol=1e-5)


def test_the_usual_signature_comes_first_with_its_own_names(
    signed: Path, network: Network, tmp_path: Path
) -> None:
    source = open_source(signed)
    assert [one.name for one in source.signatures] == ["serving_default", "backwards"]
    usual = source.signatures[0]
    assert usual.inputs == {"photo": "photo:0"}
    assert usual.outputs == {"best": "best:0", "logits": "logits:0", "scores": "scores:0"}
    assert (source.kind, source.name, source.producer) == ("saved_model", "net", tf.__version__)
    frozen = freeze(signed, tmp_path, outputs=["scores"])
    _assert_answers(frozen, network(IMAGES))
    assert frozen.outcome["inputs"][0]["name"] == "photo:0"
    assert {row["name"] for row in frozen.outcome["layers"]} == {"kernel", "kernel_1"}


def test_the_names_of_the_file_are_good_too(signed: Path, network: Network, tmp_path: Path) -> None:
    scores = (
        open_source(signed, SourceChoice(signature="backwards")).signatures[1].outputs["scores"]
    )
    assert scores.startswith("StatefulPartitionedCall")
    fields = {"inputs": ["serving_default_photo"], "outputs": [scores]}
    frozen = freeze(signed, tmp_path, **fields)
    _assert_answers(frozen, network(IMAGES))


def test_another_signature_can_be_chosen(signed: Path, network: Network, tmp_path: Path) -> None:
    source = open_source(signed, SourceChoice(signature="backwards"))
    assert source.signatures[0].outputs == {"y": "y:0"}
    frozen = freeze(signed, tmp_path, signature="backwards", outputs=["y"])
    _assert_answers(frozen, network.backwards(IMAGES)["y"])


def test_a_signature_that_is_not_there_is_refused_with_those_that_are(signed: Path) -> None:
    with pytest.raises(UnknownSignatureError, match=r"no signature 'servig'.*serving_default"):
        open_source(signed, SourceChoice(signature="servig"))


@pytest.mark.parametrize(("lines", "fit"), [(["a", "b", "c"], True), (["a", "b"], False)])
def test_labels_among_the_assets_are_taken_if_they_fit(
    network: Network, tmp_path: Path, lines: list[str], fit: bool
) -> None:
    path = tmp_path / "net"
    tf.saved_model.save(network, str(path), signatures=network.backwards)
    (path / "assets.extra").mkdir()
    (path / "assets.extra" / "labels.txt").write_text("\n".join(lines))
    outcome = freeze(path, tmp_path, outputs=[]).outcome
    assert outcome["labels"] == (lines if fit else None)
    assert any("labels.txt" in warning for warning in outcome["warnings"])
    assert fit or any("2 labels, but there are 3" in warning for warning in outcome["warnings"])


def test_labels_are_those_of_a_table_that_names_the_classes(
    network: Network, tmp_path: Path
) -> None:
    class Naming(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
        def __init__(self) -> None:
            super().__init__()
            self.net = network
            names = tf.lookup.KeyValueTensorInitializer(
                tf.constant([0, 1, 2], tf.int64), tf.constant(["cat", "dog", "fox"])
            )
            self.table = tf.lookup.StaticHashTable(names, "unknown")

        @traced(_spec())
        def serve(self, image: Any) -> Any:
            scores = tf.nn.softmax(self.net.logits(image))
            return {"scores": scores, "kind": self.table.lookup(tf.argmax(scores, 1))}

    naming = Naming()
    tf.saved_model.save(naming, str(tmp_path / "net"), signatures=naming.serve)
    frozen = freeze(tmp_path / "net", tmp_path, outputs=["scores"])
    assert frozen.outcome["labels"] == ["cat", "dog", "fox"]
    _assert_answers(frozen, network(IMAGES))


def test_without_signature_the_inference_trace_of_the_call_is_taken(
    unsigned: Path, network: Network, tmp_path: Path
) -> None:
    source = open_source(unsigned)
    assert source.signatures[0].name == "__call__"
    outputs = list(source.signatures[0].outputs.values())
    assert source.signatures[0].inputs == {"image": "image:0"}
    frozen = freeze(unsigned, tmp_path, outputs=outputs)
    _assert_answers(frozen, network(IMAGES))


def test_a_training_tensor_is_left_to_be_set(network: Network, tmp_path: Path) -> None:
    class Hub(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
        layers = network.layers

        @traced(_spec(), tf.TensorSpec([], tf.bool, name="training"))
        def __call__(self, image: Any, training: Any) -> Any:
            noisy = tf.cond(training, lambda: image + 1.0, lambda: image)
            return tf.nn.softmax(network.logits(noisy))

    hub = Hub()
    hub.net = network
    tf.saved_model.save(hub, str(tmp_path / "hub"))
    outputs = list(open_source(tmp_path / "hub").signatures[0].outputs.values())
    frozen = freeze(tmp_path / "hub", tmp_path, outputs=outputs, set={"training": False})
    _assert_answers(frozen, network(IMAGES))


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        (lambda path: (path / "variables" / "variables.index").unlink(), "variables.index"),
        (
            lambda path: (path / "variables" / "variables.data-00000-of-00001").unlink(),
            "variables.data-00000-of-00001",
        ),
        (
            lambda path: (path / "saved_model.pb").write_bytes(
                (path / "saved_model.pb").read_bytes()[:-200]
            ),
            "'saved_model.pb' cannot be read as a SavedModel",
        ),
    ],
)
def test_what_is_missing_or_damaged_is_named(
    network: Network, tmp_path: Path, break_it: Callable[[Path], object], said: str
) -> None:
    path = tmp_path / "net"
    tf.saved_model.save(network, str(path), signatures=network.backwards)
    break_it(path)
    with pytest.raises(SourceError, match=said):
        open_source(path).values.read([])


def test_a_model_without_anything_to_call_is_refused(tmp_path: Path) -> None:
    module = tf.Module()
    module.variable = tf.Variable(1.0)
    tf.saved_model.save(module, str(tmp_path / "net"))
    with pytest.raises(SourceError, match="no signature and no traced __call__"):
        open_source(tmp_path / "net")


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("in_a_module", [False, True])
def test_a_keras_3_model_saved_with_tensorflow_alone(tmp_path: Path, in_a_module: bool) -> None:
    """Its variables stand in the graph twice, and the saver fills the ones that are not called."""
    model = keras.Sequential(
        [keras.layers.Input([8, 8, 3]), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    saved: Any = model
    if in_a_module:
        saved = tf.Module()
        saved.inner = model
        spec = tf.TensorSpec([None, 8, 8, 3], tf.float32)
        saved.__call__ = tf.function(model.__call__, input_signature=[spec])
    tf.saved_model.save(saved, str(tmp_path / "export"))
    frozen = freeze(tmp_path / "export", tmp_path, outputs=[])
    np.testing.assert_allclose(frozen.answers(IMAGES)[0], model(IMAGES), atol=1e-5)


def test_a_saved_model_without_its_variables_says_which_file_is_missing(tmp_path: Path) -> None:
    tf.saved_model.save(Network(), str(tmp_path / "export"))
    (tmp_path / "export" / "variables" / "variables.index").unlink()
    with pytest.raises(SourceError, match=r"'variables/variables\.index' is missing in the folder"):
        open_source(tmp_path / "export")
    (tmp_path / "export" / "variables" / "variables.data-00000-of-00001").unlink()
    (tmp_path / "export" / "variables").rmdir()
    with pytest.raises(SourceError, match=r"'variables/variables\.index' is missing in the folder"):
        open_source(tmp_path / "export")

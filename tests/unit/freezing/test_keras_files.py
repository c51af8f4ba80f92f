"""Keras models of every file format, frozen and compared with what Keras itself answers."""

import json
import zipfile
from pathlib import Path
from types import ModuleType

import h5py
import keras
import numpy as np
import pytest
import tf_keras

from freezing.auditing.state import StatefulGraphError
from freezing.choosing.labels import known_labels
from freezing.sources.opening import open_source
from freezing.sources.source import Source
from tests.unit.freezing import keras_models
from tests.unit.freezing.keras_models import BUILDERS, save
from tests.unit.freezing.saved import freeze, v1
from worker.errors import SourceError
from worker.sources.choice import SourceChoice

KERAS_3, KERAS_2 = keras, tf_keras
FILE, HDF5, SAVED_MODEL = ".keras", ".h5", ""

# Keras 3 warns of numpy's newer protocol, Keras 2 of its own older formats.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


@pytest.fixture(autouse=True)
def _as_tensorflow_2() -> None:
    """Undo what other tests switch for graphs of TensorFlow 1."""
    v1.enable_resource_variables()
    v1.enable_control_flow_v2()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one small model as `model.keras` and as `model.h5`."""
    folder = tmp_path_factory.mktemp("plain")
    model = keras_models.plain(KERAS_3)
    save(model, folder / "model.keras")
    save(model, folder / "model.h5")
    return folder


def _outputs(source: Source) -> list[str]:
    return list(source.signatures[0].outputs.values())


@pytest.mark.parametrize(
    ("k", "build", "suffix"),
    [
        *((KERAS_3, build, FILE) for build in BUILDERS if build != "grouped"),
        *((KERAS_2, build, HDF5) for build in BUILDERS),
        *((KERAS_3, build, HDF5) for build in ("plain", "calculating")),
        *((KERAS_2, build, FILE) for build in ("plain", "augmenting")),
        *((KERAS_3, build, SAVED_MODEL) for build in ("plain", "two_outputs", "grouped")),
        *((KERAS_2, build, SAVED_MODEL) for build in ("with_preprocessing", "augmenting")),
    ],
    ids=lambda value: getattr(value, "__name__", value) or "saved_model",
)
def test_the_frozen_graph_answers_as_the_model_does(
    tmp_path: Path, k: ModuleType, build: str, suffix: str
) -> None:
    saved = save(BUILDERS[build](k), tmp_path / f"model{suffix}")
    frozen = freeze(saved.path, tmp_path, outputs=_outputs(open_source(saved.path)))
    answers = frozen.answers(saved.images)
    assert len(answers) == len(saved.expected)
    # A SavedModel may give its outputs in another order.
    expected = {answer.shape: answer for answer in saved.expected}
    for answer in answers:
        np.testing.assert_allclose(answer, expected[answer.shape], atol=2e-5, rtol=1e-4)
    assert frozen.outcome["inputs"][0]["shape"] == [None, *saved.images.shape[1:]]
    assert not frozen.ops & {"VarHandleOp", "RandomUniform", "StatefulPartitionedCall"}


def test_inputs_and_outputs_have_the_names_of_the_model(tmp_path: Path) -> None:
    saved = save(keras_models.two_outputs(KERAS_3), tmp_path / "model.keras")
    source = open_source(saved.path)
    assert source.signatures[0].inputs == {"image": "image:0"}
    assert source.signatures[0].outputs == {"kind": "kind:0", "age": "age:0"}
    frozen = freeze(saved.path, tmp_path, outputs=["kind"])
    assert [tensor["name"] for tensor in frozen.outcome["outputs"]] == ["kind:0"]
    assert [row["name"] for row in frozen.outcome["layers"]] == ["kind/kernel", "kind/bias"]
    assert frozen.outcome["scores"] == "probabilities"
    assert frozen.outcome["source"]["kind"] == "keras"
    assert frozen.outcome["source"]["producer"] == f"Keras {keras.__version__}"


def test_a_second_input_takes_the_value_that_is_set(tmp_path: Path) -> None:
    image = keras.layers.Input([8, 8, 3], name="image")
    age = keras.layers.Input([1], name="age")
    x = keras.layers.Concatenate()([keras.layers.Flatten()(image), age])
    model = keras.Model({"age": age, "image": image}, keras.layers.Dense(3, name="y")(x))
    model.save(tmp_path / "model.keras")
    frozen = freeze(
        tmp_path / "model.keras", tmp_path, inputs=["image"], outputs=["y"], set={"age": [[0.5]]}
    )
    images = np.random.default_rng(1).uniform(size=[1, 8, 8, 3]).astype(np.float32)
    expected = model({"image": images, "age": np.array([[0.5]], np.float32)})
    np.testing.assert_allclose(frozen.answers(images)[0], expected, atol=1e-5)


@pytest.mark.parametrize("build", ["with_preprocessing", "plain"])
def test_pixels_are_left_alone_where_the_model_scales_them_itself(
    tmp_path: Path, build: str
) -> None:
    saved = save(BUILDERS[build](KERAS_3), tmp_path / "model")
    outcome = freeze(saved.path, tmp_path, outputs=[]).outcome
    raw = build == "with_preprocessing"
    assert outcome["preprocessing"]["scale"] == (1.0 if raw else 1 / 255)
    said = [reason for reason in outcome["basis"]["reasons"] if "scales pixels itself" in reason]
    assert bool(said) == raw
    assert outcome["basis"]["fields"]["scaling"] == ("read" if raw else "assumed")


def test_an_export_that_goes_on_varying_images_is_refused(tmp_path: Path) -> None:
    # Keras 3 exports what `model(x)` does, in which these layers are on.
    saved = save(keras_models.augmenting(KERAS_3), tmp_path / "model")
    with pytest.raises(StatefulGraphError, match=r"random numbers .* RandomFlip.* \.keras file"):
        freeze(saved.path, tmp_path, outputs=[])


def test_a_network_that_remembers_images_is_refused(tmp_path: Path) -> None:
    rows = keras.layers.Input(batch_shape=[2, 8, 8], name="rows")
    x = keras.layers.LSTM(4, stateful=True)(rows)
    model = keras.Model(rows, keras.layers.Dense(3, name="y")(x))
    model.save(tmp_path / "model.keras")
    with pytest.raises(StatefulGraphError, match=r"depend on 'lstm.*which.*changes with every run"):
        freeze(tmp_path / "model.keras", tmp_path, outputs=["y"])


# -- recognising and reading --------------------------------------------------------------------


def test_files_are_told_by_content_whatever_they_are_called(plain: Path, tmp_path: Path) -> None:
    for name, other in (("model.keras", "weights.h5"), ("model.h5", "model.keras")):
        (tmp_path / other).write_bytes((plain / name).read_bytes())
        source = open_source(tmp_path / other)
        assert (source.kind, source.name) == ("keras", other)
        assert [file.name for file in source.files] == [other]
        (tmp_path / other).unlink()


def test_a_keras_file_that_was_unpacked_is_opened(plain: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(plain / "model.keras") as archive:
        archive.extractall(tmp_path / "flowers")
    source = open_source(tmp_path / "flowers")
    assert source.name == "flowers"
    assert {file.name for file in source.files} == {
        "config.json",
        "metadata.json",
        "model.weights.h5",
    }


@pytest.mark.parametrize("k", [KERAS_3, KERAS_2], ids=["keras 3", "keras 2"])
def test_a_file_of_weights_alone_is_refused_with_what_to_save(
    tmp_path: Path, k: ModuleType
) -> None:
    keras_models.plain(k).save_weights(tmp_path / "model.weights.h5")
    with pytest.raises(SourceError, match=r"only the weights .* model\.save\('model\.keras'\)"):
        open_source(tmp_path / "model.weights.h5")


@pytest.mark.parametrize("k", [KERAS_3, KERAS_2], ids=["keras 3", "keras 2"])
@pytest.mark.parametrize("name", ["model.h5", "model.weights.h5"])
def test_weights_with_their_layers_beside_them_are_a_model(
    tmp_path: Path, k: ModuleType, name: str
) -> None:
    model = keras_models.two_outputs(k)
    if k is KERAS_3 and name == "model.h5":
        name = "other.weights.h5"
    model.save_weights(tmp_path / name)
    (tmp_path / "model.json").write_text(model.to_json())
    (tmp_path / "notes.json").write_text('{"epochs": 3}')
    images = np.random.default_rng(1).uniform(size=[2, 8, 8, 3]).astype(np.float32)
    frozen = freeze(tmp_path, tmp_path / "..", outputs=["kind"])
    expected = model(images, training=False)[0]
    np.testing.assert_allclose(frozen.answers(images)[0], expected, atol=1e-5)
    names = [file["name"] for file in frozen.outcome["source"]["files"]]
    assert names == ["model.json", name]


def test_other_hdf5_files_are_no_models(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "table.h5", "w") as file:
        file["numbers"] = [1, 2, 3]
    with pytest.raises(SourceError, match="without a Keras model"):
        open_source(tmp_path / "table.h5")


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.95])
def test_a_file_that_is_cut_off_is_refused(
    plain: Path, tmp_path: Path, name: str, kept: float
) -> None:
    content = (plain / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(SourceError, match=f"'{name}'.*(damaged|incomplete)"):
        open_source(tmp_path / name)


def test_a_layer_that_keras_does_not_have_is_named(plain: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes((plain / "model.h5").read_bytes())
    with h5py.File(path, "r+") as file:
        config = file.attrs["model_config"].replace('"Dropout"', '"DropBlock"')
        # As Keras 2 wrote it, where nothing but the name says whose a class is.
        file.attrs["model_config"] = config.replace('"module": "keras.layers", ', "")
        file.attrs["keras_version"] = "2.3.1"
    with pytest.raises(SourceError, match="is of the class DropBlock, which is not among") as error:
        open_source(path)
    assert error.value.code == "unsafe_source"
    with pytest.raises(SourceError, match=r"written by Keras 2\.3\.1\) needs DropBlock"):
        open_source(path, SourceChoice(allow_code=True))


def test_a_file_of_keras_1_says_what_still_reads_it(plain: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.h5"
    path.write_bytes((plain / "model.h5").read_bytes())
    layer = {"class_name": "Convolution2D", "config": {"nb_filter": 4, "nb_row": 3, "nb_col": 3}}
    with h5py.File(path, "r+") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": [layer]})
        file.attrs["keras_version"] = "1.2.2"
    with pytest.raises(SourceError, match=r"written by Keras 1\.2\.2.*Keras from 2\.0 to 2\.2"):
        open_source(path)


def test_labels_are_taken_from_the_file(plain: Path, tmp_path: Path) -> None:
    for written in (["cat", "dog", "fox"], json.dumps({"0": "cat", "1": "dog", "2": "fox"})):
        path = tmp_path / "model.h5"
        path.write_bytes((plain / "model.h5").read_bytes())
        with h5py.File(path, "r+") as file:
            file.attrs["class_names"] = written
        assert open_source(path).labels == ["cat", "dog", "fox"]
    assert open_source(plain / "model.h5").labels is None


def test_labels_around_the_model_are_taken_too(plain: Path, tmp_path: Path) -> None:
    (tmp_path / "converted").mkdir()
    (tmp_path / "converted" / "keras_model.h5").write_bytes((plain / "model.h5").read_bytes())
    (tmp_path / "labels.txt").write_text("0 cat\n1 dog\n2 fox\n")
    source, said = open_source(tmp_path), list[str]()
    assert known_labels(source, 3, said) == ["cat", "dog", "fox"]
    assert any("'labels.txt'" in warning for warning in said)


def test_the_model_says_which_shape_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    keras.Sequential([keras.layers.Dense(3)]).save(path)
    with pytest.raises(SourceError, match="which shape its input has"):
        open_source(path)

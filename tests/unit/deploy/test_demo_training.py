"""The demo's training script: what it saves, what it reads and what it says of bad folders.

The script runs as a process of its own, as a person starts it: it switches TensorFlow to TF1
behaviour for the whole process.
"""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from deploy.demo.augmentation import reframe, relight, training_batches
from deploy.demo.photographs import (
    Photograph,
    Photographs,
    PhotographsError,
    find_photographs,
    hold_out,
    read_photographs,
    read_pixels,
    require_every_class,
)

ROOT = Path(__file__).parents[3]
COLOURS = {"blue": (20, 40, 220), "red": (220, 40, 20)}


def start(module: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"deploy.demo.{module}", *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def paint(folder: Path, count: int = 12) -> Path:
    """Photographs of one colour with noise, which a network tells apart at once."""
    noise = np.random.default_rng(0)
    for name, colour in COLOURS.items():
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.clip(noise.normal(colour, 25, size=(40, 50, 3)), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Prefix of a checkpoint trained for two epochs, and what training printed."""
    folder = tmp_path_factory.mktemp("demo")
    photographs = paint(folder / "photographs")
    (photographs / "red" / "broken.jpg").write_bytes(b"\xff\xd8 not a photograph")
    prefix = folder / "output" / "colours"
    done = start(
        "train", photographs, "--output", prefix, "--labels", "sea,fire",
        "--size", 32, "--epochs", 2, "--batch", 8, "--validation", 0.25,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return prefix, done.stdout


def test_training_saves_four_files_and_the_labels(trained: tuple[Path, str]) -> None:
    prefix, _ = trained
    assert sorted(path.name for path in prefix.parent.iterdir()) == [
        "checkpoint",
        "colours.data-00000-of-00001",
        "colours.index",
        "colours.meta",
        "labels.txt",
    ]
    assert (prefix.parent / "labels.txt").read_text() == "sea\nfire\n"


def test_the_checkpoint_names_itself_without_a_folder(trained: tuple[Path, str]) -> None:
    prefix, _ = trained
    assert 'model_checkpoint_path: "colours"' in (prefix.parent / "checkpoint").read_text()


def test_training_shows_its_progress(trained: tuple[Path, str]) -> None:
    _, printed = trained
    assert "17 photographs to train on, 7 held out, 1 unreadable" in printed
    epochs = re.findall(r"^epoch +(\d)/2 .*validation.*images/s.*left$", printed, re.MULTILINE)
    assert epochs == ["1", "2"]


def test_the_saved_graph_answers_as_the_tutorial_uses_it(trained: tuple[Path, str]) -> None:
    import tensorflow.compat.v1 as tf  # seconds to import, for this test alone

    prefix, _ = trained
    with tf.Graph().as_default() as graph, tf.Session() as session:
        tf.train.import_meta_graph(f"{prefix}.meta").restore(session, str(prefix))
        operations = {operation.name: operation for operation in graph.get_operations()}
        for name in ("x", "y_true", "is_training", "keep_prob"):
            assert operations[name].type == "Placeholder"  # one without a default
        assert operations["y_pred"].type == "Softmax"
        assert operations["x"].outputs[0].shape.as_list() == [None, 32, 32, 3]
        assert {"conv1/weights", "conv1/batch_norm/moving_mean", "dense/biases"} < set(operations)
        assert "conv1/weights/Adam" in operations  # a slot for freezing to drop
        scores = session.run(
            "y_pred:0",
            {
                "x:0": np.random.default_rng(1).random((3, 32, 32, 3), dtype=np.float32),
                "is_training:0": False,
                "keep_prob:0": 1.0,
            },
        )
    assert scores.shape == (3, 2)
    assert scores.sum(axis=1) == pytest.approx(1.0, abs=1e-5)


def test_a_bad_folder_is_one_sentence_and_no_traceback(tmp_path: Path) -> None:
    done = start("train", tmp_path / "nowhere", "--output", tmp_path / "model")
    assert done.returncode == 1
    assert f"error: {tmp_path}/nowhere is not a folder." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("folders", "sentence"),
    [
        ([], "needs at least two sub-folders, one for each class; it has 0"),
        (["cats"], "needs at least two sub-folders, one for each class; it has 1"),
        (["cats", "dogs"], "The class 'cats' in .* has no readable image"),
    ],
)
def test_folders_that_cannot_be_learnt_from(
    tmp_path: Path, folders: list[str], sentence: str
) -> None:
    for name in folders:
        (tmp_path / name).mkdir()
    with pytest.raises(PhotographsError, match=sentence):
        find_photographs(tmp_path)


def test_a_class_of_broken_images_has_no_readable_one(tmp_path: Path) -> None:
    folder = paint(tmp_path / "photographs", count=2)
    for path in (folder / "red").iterdir():
        path.write_bytes(path.read_bytes()[:60])
    names, found = find_photographs(folder)
    photographs = read_photographs(found, 32)
    assert (len(photographs), photographs.unreadable) == (2, 2)
    with pytest.raises(PhotographsError, match="The class 'red' has no readable image"):
        require_every_class(photographs, names)


def test_classes_are_the_sorted_names_of_the_folders(tmp_path: Path) -> None:
    names, found = find_photographs(paint(tmp_path / "photographs", count=2))
    assert names == ["blue", "red"]
    assert [photograph.label for photograph in found] == [0, 0, 1, 1]


def test_the_same_share_of_every_class_is_held_out() -> None:
    found = [Photograph(path=Path(f"{n}.jpg"), label=int(n >= 40)) for n in range(60)]
    kept, held_out = hold_out(found, 0.1, seed=1)
    assert [sum(p.label == label for p in held_out) for label in (0, 1)] == [4, 2]
    assert {p.path for p in kept} | {p.path for p in held_out} == {p.path for p in found}
    assert len(kept) + len(held_out) == 60
    assert hold_out(found, 0.1, seed=1) == (kept, held_out)
    assert hold_out(found, 0.0, seed=1)[1] == []


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "P", "1", "CMYK", "I;16"])
def test_photographs_of_every_mode_are_read_as_rgb(tmp_path: Path, mode: str) -> None:
    if mode == "I;16":
        image = Image.fromarray(np.full((20, 30), 128 * 257, dtype=np.uint16))
    else:
        image = Image.new("RGB", (30, 20), (255, 255, 255)).convert(mode)
    path = tmp_path / ("image.tif" if mode == "CMYK" else "image.png")
    image.save(path)
    pixels = read_pixels(path, 16)
    assert pixels is not None
    assert pixels.shape == (16, 16, 3)
    assert pixels.dtype == np.uint8
    assert np.unique(pixels).tolist() == [128 if mode == "I;16" else 255]


def test_a_photograph_taken_sideways_is_read_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 20))
    image.paste((255, 255, 255), (0, 0, 20, 20))  # white on the left
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise: left becomes top
    image.save(tmp_path / "image.png", exif=exif)
    pixels = read_pixels(tmp_path / "image.png", 16)
    assert pixels is not None
    assert pixels[2].min() == 255
    assert pixels[13].max() == 0


def test_augmentation_keeps_shapes_and_range() -> None:
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, size=(10, 42, 42, 3), dtype=np.uint8)
    assert reframe(pixels[0], 32, random).shape == (32, 32, 3)
    lit = relight(pixels.astype(np.float32) / np.float32(255), random)
    assert lit.shape == (10, 42, 42, 3)
    assert lit.dtype == np.float32
    assert 0 <= lit.min() <= lit.max() <= 1

    photographs = Photographs(pixels=pixels, labels=np.arange(10) % 2, unreadable=0)
    batches = list(training_batches(photographs, 2, 32, 4, random))
    assert [(len(images), len(targets)) for images, targets in batches] == [(4, 4), (4, 4)]
    assert batches[0][0].dtype == np.float32
    assert batches[0][1].sum(axis=1) == pytest.approx(1.0)

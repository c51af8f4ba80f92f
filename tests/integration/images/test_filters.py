"""Filters: each makes of a picture what its own library does, within one level of 255."""

import io
import itertools
from collections.abc import Callable
from pathlib import Path

import cv2
import keras
import numpy as np
import numpy.typing as npt
import pytest
import tensorflow as tf
from PIL import Image

from worker.images.decode import Limits, decode_for
from worker.images.preprocess import prepare
from worker.images.resizing import resize as resizing
from worker.images.resizing.resize import resize
from worker.models.preprocessing import Filter, Preprocessing, PreprocessingSpec
from worker.models.preprocessing import resolve_preprocessing as resolved

Pixels = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.float32]

# (width, height) of pictures, and of what becomes of them: larger, smaller, both, odd, of a pixel.
PICTURES = [(1, 1), (1, 9), (7, 1), (2, 3), (5, 4), (101, 67), (64, 64), (33, 200), (200, 31)]
SIZES = [(1, 1), (3, 2), (32, 32), (31, 45), (64, 32), (150, 99), (299, 224)]

_LEVEL = 1.0 + 1e-3  # the formulas are in single precision


def _of_pillow(name: str) -> Callable[[Pixels, tuple[int, int]], Numbers]:
    method = Image.Resampling[name]
    return lambda values, size: np.asarray(Image.fromarray(values).resize(size, method), np.float32)


def _of_cv2(method: int) -> Callable[[Pixels, tuple[int, int]], Numbers]:
    return lambda values, size: np.asarray(
        cv2.resize(values, size, interpolation=method), np.float32
    )


def _tf_bilinear(values: Pixels, size: tuple[int, int]) -> Numbers:
    return _with_channels(values, lambda x: tf.image.resize(x, size[::-1]))


def _tf1_bilinear(values: Pixels, size: tuple[int, int]) -> Numbers:
    return _with_channels(
        values, lambda x: tf.compat.v1.image.resize_bilinear(x[None], size[::-1])[0]
    )


def _with_channels(values: Pixels, run: Callable[[Pixels], tf.Tensor]) -> Numbers:
    found = run(values.reshape(*values.shape[:2], -1)).numpy()
    return np.asarray(found.reshape(*found.shape[:2], *values.shape[2:]), np.float32)


ORIGINALS: dict[Filter, Callable[[Pixels, tuple[int, int]], Numbers]] = {
    "bilinear": _of_pillow("BILINEAR"),
    "nearest": _of_pillow("NEAREST"),
    "bicubic": _of_pillow("BICUBIC"),
    "box": _of_pillow("BOX"),
    "lanczos": _of_pillow("LANCZOS"),
    "tf_bilinear": _tf_bilinear,
    "tf1_bilinear": _tf1_bilinear,
    "cv2_linear": _of_cv2(cv2.INTER_LINEAR),
    "cv2_area": _of_cv2(cv2.INTER_AREA),
}
OF_OTHERS: list[Filter] = ["tf_bilinear", "tf1_bilinear", "cv2_linear", "cv2_area"]


def _noise(size: tuple[int, int], mode: str) -> Image.Image:
    rng = np.random.default_rng(size[0] * 1000 + size[1])
    shape = (*size[::-1], 3) if mode == "RGB" else size[::-1]
    return Image.fromarray(rng.integers(0, 256, shape, np.uint8))


@pytest.fixture(scope="module")
def photographs(fixtures_folder: Path) -> list[Image.Image]:
    folder = fixtures_folder / "cats-dogs-200px"
    paths = sorted((folder / "test" / "cats").iterdir())[:3]
    paths += sorted((folder / "test" / "dogs").iterdir())[:3]
    return [Image.open(path).convert("RGB") for path in paths]


def _furthest(image: Image.Image, size: tuple[int, int], name: Filter) -> float:
    """Return the largest difference between a resized image and what its library makes of it."""
    expected = ORIGINALS[name](np.asarray(image), size)
    found = resize(image, size, resample=name)
    assert found.shape == expected.shape, (image.size, size)
    return float(np.abs(found - expected).max())


@pytest.mark.parametrize("name", ORIGINALS)
def test_photographs_are_resized_as_by_the_library(
    name: Filter, photographs: list[Image.Image]
) -> None:
    for photograph, mode in itertools.product(photographs, ("RGB", "L", "RGBX")):
        if mode == "RGBX":
            image = photograph.copy()
            image.putalpha(77)  # which is left out
            image = Image.frombytes("RGBX", image.size, image.tobytes())
            for size in ((96, 96), (224, 224)):
                expected = ORIGINALS[name](np.asarray(photograph), size)
                found = resize(image, size, resample=name)
                assert np.abs(found - expected).max() <= _LEVEL
            continue
        image = photograph.convert(mode)
        for size in ((32, 32), (100, 100), (224, 224), (299, 180)):
            assert _furthest(image, size, name) <= _LEVEL, (photograph.size, size)


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("name", ORIGINALS)
def test_noise_of_any_size_is_resized_as_by_the_library(name: Filter, mode: str) -> None:
    """What lies between two pixels of noise is as far from both as it can be."""
    for picture, size in itertools.product(PICTURES, SIZES):
        if picture != size:  # which is not resized
            assert _furthest(_noise(picture, mode), size, name) <= _LEVEL, (picture, size)


@pytest.mark.parametrize("name", OF_OTHERS)
def test_without_the_kernels_every_value_is_the_same(
    name: Filter, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [_noise(picture, "RGB") for picture in PICTURES]
    fast = [resize(image, size, resample=name) for image in images for size in SIZES]
    monkeypatch.setattr(resizing, "kernels", lambda: None)
    slow = [resize(image, size, resample=name) for image in images for size in SIZES]
    for one, other in zip(fast, slow, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", OF_OTHERS)
def test_pictures_in_several_blocks_of_memory_are_resized_as_by_the_library(name: Filter) -> None:
    assert _furthest(_noise((2100, 2100), "RGB"), (64, 64), name) <= _LEVEL


@pytest.mark.parametrize("size", [(64, 64), (224, 160), (31, 80)])
def test_the_middle_is_cut_out_as_keras_does(size: tuple[int, int]) -> None:
    for picture in ((101, 67), (64, 64), (200, 31), (33, 200)):
        image = _noise(picture, "RGB")
        spec = Preprocessing(size=size[::-1], resize="crop", filter="tf_bilinear", scale=1.0)
        found = np.asarray(prepare(image, spec, np.float32), np.float32)
        expected = keras.preprocessing.image.smart_resize(np.asarray(image, np.float32), size[::-1])
        assert np.abs(found - np.asarray(expected)).max() <= _LEVEL, picture


@pytest.fixture(scope="module")
def large_photographs() -> list[tuple[bytes, Pixels]]:
    """Return JPEGs that are large enough to be decoded smaller, by either of our decoders."""
    coarse = np.random.default_rng(3).integers(0, 256, (15, 20, 3), np.uint8)
    fine = np.random.default_rng(4).integers(-20, 21, (900, 1200, 3))
    image = Image.fromarray(coarse).resize((1200, 900), Image.Resampling.BICUBIC)
    scene = Image.fromarray(np.clip(np.asarray(image) + fine, 0, 255).astype(np.uint8))
    files = [io.BytesIO(), io.BytesIO()]
    scene.save(files[0], "JPEG", quality=92)
    scene.save(files[1], "JPEG", quality=92, exif=Image.Exif())
    return [(file.getvalue(), np.asarray(Image.open(file))) for file in files]


@pytest.mark.parametrize("name", sorted(set(ORIGINALS) - {"bilinear"}))
def test_large_photographs_are_not_decoded_smaller_than_they_are(
    name: Filter, large_photographs: list[tuple[bytes, Pixels]]
) -> None:
    """Only the usual filter may be spared pixels: in what others make of them it would show."""
    spec = Preprocessing(size=(96, 96), filter=name, scale=1.0)
    for content, pixels in large_photographs:
        picture = decode_for(content, spec, Limits())
        row = prepare(picture.image, spec, np.float32, box=picture.box)
        found = np.asarray(row, np.float32)
        assert np.abs(found - ORIGINALS[name](pixels, (96, 96))).max() <= _LEVEL


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("value", [None, 0, 200])
def test_images_are_standardised_as_tensorflow_does(channels: int, value: int | None) -> None:
    pixels = np.asarray(_noise((30, 20), "RGB" if channels == 3 else "L"))
    if value is not None:  # of which the deviation is 0
        pixels = np.full_like(pixels, value)
    asked = PreprocessingSpec.parse("standardise")
    spec = resolved(asked, [None, 20, 30, channels], "float32")
    found = np.asarray(prepare(Image.fromarray(pixels), spec, np.float32), np.float32)
    expected = tf.image.per_image_standardization(pixels.reshape(20, 30, channels)).numpy()
    np.testing.assert_allclose(found, expected, atol=2e-5)

"""Preprocessing: pixels to numbers, by hand for every preset, layout, colour and resize."""

import math
from typing import Any

import numpy as np
import pytest
from PIL import Image

from worker.images.preprocess import prepare
from worker.models.preprocessing import (
    PRESETS,
    Preprocessing,
    PreprocessingSpec,
    resolve_preprocessing,
)

RED = (255, 0, 0)
# Two rows of three pixels.
PIXELS = [[(255, 0, 0), (0, 255, 0), (0, 0, 255)], [(0, 0, 0), (128, 128, 128), (255, 255, 255)]]


def _image(pixels: Any = PIXELS) -> Image.Image:
    return Image.fromarray(np.array(pixels, np.uint8))


def _pixel(asked: Any, color: tuple[int, int, int]) -> list[float]:
    """Return what becomes of one pixel."""
    spec = resolve_preprocessing(PreprocessingSpec.parse(asked), [None, 1, 1, 3], "float32")
    found = prepare(Image.new("RGB", (1, 1), color), spec, np.float32)
    assert found.shape == (1, 1, 3)
    return [float(value) for value in found.reshape(-1)]


# -- numbers ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("raw", [255.0, 51.0, 0.0]),
        ("zero_one", [1.0, 0.2, 0.0]),
        ("minus_one_one", [1.0, -0.6, -1.0]),
        ("centered", [127 / 128, -77 / 128, -1.0]),
        # the mean is 102, and the mean of squares 22542
        ("standardise", [(v - 102) / (22542 - 102**2) ** 0.5 for v in (255, 51, 0)]),
        ("imagenet", [(1 - 0.485) / 0.229, (0.2 - 0.456) / 0.224, (0 - 0.406) / 0.225]),
        # blue first, minus the mean of each channel
        ("caffe", [0 - 103.939, 51 - 116.779, 255 - 123.68]),
        ({"preset": "raw", "color": "bgr"}, [0.0, 51.0, 255.0]),
        ({"preset": "raw", "scale": 2}, [510.0, 102.0, 0.0]),
        ({"preset": "zero_one", "mean": [0.5], "std": [0.5]}, [1.0, -0.6, -1.0]),
        ({"preset": "raw", "mean": [1, 2, 3], "std": [1, 7, 3]}, [254.0, 7.0, -1.0]),
    ],
)
def test_presets_give_these_numbers(asked: Any, expected: list[float]) -> None:
    assert _pixel(asked, (255, 51, 0)) == pytest.approx(expected, abs=1e-5)


def test_dividing_by_255_is_done_as_training_code_does_it() -> None:
    for value in range(256):
        (found, *_) = _pixel("zero_one", (value, 0, 0))
        assert found == np.float32(value) / np.float32(255)


def test_dividing_by_127_and_a_half_is_done_as_training_code_does_it() -> None:
    for value in range(256):
        (found, *_) = _pixel("minus_one_one", (value, 0, 0))
        assert found == np.float32(value) / np.float32(127.5) - np.float32(1)


# -- layouts ----------------------------------------------------------------------------------


def test_the_layout_says_where_rows_columns_and_channels_go() -> None:
    image = _image()
    plain = np.array(PIXELS, np.float32)
    by_layout = {
        layout: prepare(image, Preprocessing(size=(2, 3), scale=1.0, layout=layout), np.float32)
        for layout in ("NHWC", "NCHW", "flat")
    }
    assert np.array_equal(by_layout["NHWC"], plain)
    assert np.array_equal(by_layout["NCHW"], plain.transpose(2, 0, 1))
    assert np.array_equal(by_layout["flat"], plain.reshape(-1))
    assert all(values.flags.c_contiguous for values in by_layout.values())


@pytest.mark.parametrize(
    ("layout", "shape"), [("NHWC", (2, 3, 1)), ("NCHW", (1, 2, 3)), ("HW", (2, 3)), ("flat", (6,))]
)
def test_grey_has_one_channel_in_every_layout(layout: Any, shape: tuple[int, ...]) -> None:
    spec = Preprocessing(size=(2, 3), scale=1.0, layout=layout, color="gray")
    found = prepare(_image(), spec, np.float32)
    assert found.shape == shape
    # ITU-R 601-2: 0.299 red + 0.587 green + 0.114 blue
    assert found.reshape(-1) == pytest.approx([76, 150, 29, 0, 128, 255], abs=1)


# -- sizes ------------------------------------------------------------------------------------


def _columns(image: Image.Image, resize: Any, size: tuple[int, int]) -> list[int]:
    spec = Preprocessing(size=size, resize=resize, scale=1.0, color="gray", layout="HW")
    found = prepare(image, spec, np.float32)
    assert found.shape == size
    return [round(float(value)) for value in found[size[0] // 2]]


def test_an_image_of_the_right_size_is_not_touched() -> None:
    found = prepare(_image(), Preprocessing(size=(2, 3), scale=1.0), np.float32)
    assert np.array_equal(found, np.array(PIXELS, np.float32))


def test_stretching_changes_the_proportions() -> None:
    wide = _image([[[v] * 3 for v in (10, 10, 50, 50, 90, 90)]] * 2)
    assert _columns(wide, "stretch", (2, 3)) == pytest.approx([10, 50, 90], abs=6)


def test_cropping_takes_the_middle() -> None:
    wide = _image([[[v] * 3 for v in (0, 0, 100, 100, 255, 255)]] * 2)
    assert _columns(wide, "crop", (2, 2)) == [100, 100]


def test_padding_keeps_everything_on_black() -> None:
    wide = _image([[[200] * 3] * 4] * 2)
    spec = Preprocessing(size=(4, 4), resize="pad", scale=1.0, color="gray", layout="HW")
    found = prepare(wide, spec, np.float32)
    assert found.tolist() == [[0] * 4, [200] * 4, [200] * 4, [0] * 4]


def test_shrinking_averages_instead_of_picking() -> None:
    stripes = _image([[[255 * (x % 2)] * 3 for x in range(64)]] * 64)
    spec = Preprocessing(size=(8, 8), scale=1.0, color="gray", layout="HW")
    found = prepare(stripes, spec, np.float32)
    assert found.min() > 110
    assert found.max() < 145


# -- types ------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "uint8", "int32", "int8"])
def test_values_have_the_type_of_the_input(dtype: str) -> None:
    found = prepare(_image(), Preprocessing(size=(2, 3), scale=1.0), np.dtype(dtype))
    assert found.dtype == np.dtype(dtype)


def test_whole_numbers_are_rounded_and_kept_in_their_range() -> None:
    spec = Preprocessing(size=(1, 1), scale=1.0, mean=[0.6, -1.0, 200.0])
    found = prepare(Image.new("RGB", (1, 1), (1, 255, 100)), spec, np.uint8)
    assert found.reshape(-1).tolist() == [0, 255, 0]
    assert prepare(Image.new("RGB", (1, 1), (200, 0, 0)), spec, np.int8).reshape(-1)[0] == 127


# -- modes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "YCbCr"])
def test_every_mode_of_colour_gives_the_same_colour(mode: str) -> None:
    image = Image.new("RGB", (2, 2), RED).convert(mode)
    found = prepare(image, Preprocessing(size=(2, 2), scale=1.0), np.float32)
    assert found[0, 0].tolist() == pytest.approx(RED, abs=2)


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_grey_is_the_same_in_all_three_channels(mode: str) -> None:
    image = Image.new("L", (2, 2), 255).convert(mode)
    found = prepare(image, Preprocessing(size=(2, 2), scale=1.0), np.float32)
    assert found[0, 0].tolist() == [255, 255, 255]


@pytest.mark.parametrize(("value", "expected"), [(0, 0), (257, 1), (32_896, 128), (65_535, 255)])
def test_sixteen_bits_of_grey_are_scaled_to_eight(value: int, expected: int) -> None:
    image = Image.fromarray(np.full((2, 2), value, np.uint16))
    spec = Preprocessing(size=(2, 2), scale=1.0, color="gray", layout="HW")
    assert prepare(image, spec, np.float32)[0, 0] == expected


def test_no_number_is_ever_missing() -> None:
    for preset in PRESETS:
        assert all(math.isfinite(value) for value in _pixel(preset, (1, 2, 3)))

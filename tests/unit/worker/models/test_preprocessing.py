"""What is asked for, and what becomes of it with the shape of a graph's input."""

from typing import Any

import pytest

from worker.errors import InvalidRequestError
from worker.models.preprocessing import (
    PRESETS,
    Preprocessing,
    PreprocessingSpec,
    Shape,
    resolve_preprocessing,
)


def _resolve(asked: Any, shape: Shape, dtype: str = "float32") -> Preprocessing:
    return resolve_preprocessing(PreprocessingSpec.parse(asked), shape, dtype)


@pytest.mark.parametrize(
    ("asked", "shape", "layout", "size", "color"),
    [
        (None, [None, 128, 96, 3], "NHWC", (128, 96), "rgb"),
        (None, [1, 28, 28, 1], "NHWC", (28, 28), "gray"),
        (None, [None, 3, 64, 48], "NCHW", (64, 48), "rgb"),
        (None, [None, 1, 64, 48], "NCHW", (64, 48), "gray"),
        (None, [None, 3, 8, 3], "NHWC", (3, 8), "rgb"),
        ({"layout": "NCHW"}, [None, 3, 8, 3], "NCHW", (8, 3), "rgb"),
        (None, [None, 28, 20], "HW", (28, 20), "gray"),
        (None, [None, 784], "flat", (28, 28), "gray"),
        (None, [None, 3072], "flat", (32, 32), "rgb"),
        ({"size": [10, 20]}, [None, 200], "flat", (10, 20), "gray"),
        ({"size": [10, 20]}, [None, 600], "flat", (10, 20), "rgb"),
        ({"size": [10, 20]}, [None, None], "flat", (10, 20), "rgb"),
        ({"size": [10, 20], "color": "gray"}, [None, None], "flat", (10, 20), "gray"),
        ({"size": [10, 20]}, [None, None, None, 3], "NHWC", (10, 20), "rgb"),
        ({"size": [10, 20]}, [None, 10, None, 3], "NHWC", (10, 20), "rgb"),
        ({"size": [10, 20]}, None, "NHWC", (10, 20), "rgb"),
        ({"size": [10, 20], "layout": "NCHW"}, None, "NCHW", (10, 20), "rgb"),
        ({"size": [10, 20], "layout": "HW"}, None, "HW", (10, 20), "gray"),
        ({"size": [10, 20]}, [None, None, None, None], "NHWC", (10, 20), "rgb"),
        ({"color": "bgr"}, [None, 8, 8, 3], "NHWC", (8, 8), "bgr"),
        ("caffe", [None, 8, 8, 3], "NHWC", (8, 8), "bgr"),
        ({"preset": "caffe", "color": "rgb"}, [None, 8, 8, 3], "NHWC", (8, 8), "rgb"),
    ],
)
def test_what_is_left_open_is_taken_from_the_shape(
    asked: Any, shape: Shape, layout: str, size: tuple[int, int], color: str
) -> None:
    found = _resolve(asked, shape)
    assert (found.layout, found.size, found.color) == (layout, size, color)


@pytest.mark.parametrize(
    ("asked", "dtype", "scale", "mean", "std"),
    [
        (None, "float32", 1 / 255, [0.0], [1.0]),
        (None, "uint8", 1.0, [0.0], [1.0]),
        (None, "int32", 1.0, [0.0], [1.0]),
        ("zero_one", "uint8", 1 / 255, [0.0], [1.0]),
        ("minus_one_one", "float32", 1 / 127.5, [1.0], [1.0]),
        ("raw", "float32", 1.0, [0.0], [1.0]),
        ("caffe", "float32", 1.0, [103.939, 116.779, 123.68], [1.0]),
        ("imagenet", "float32", 1 / 255, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ({"preset": "imagenet", "mean": [0.5]}, "float32", 1 / 255, [0.5], [0.229, 0.224, 0.225]),
        ({"scale": 2, "std": [4]}, "float32", 2.0, [0.0], [4.0]),
    ],
)
def test_presets_give_numbers_that_fields_override(
    asked: Any, dtype: str, scale: float, mean: list[float], std: list[float]
) -> None:
    found = _resolve(asked, [None, 8, 8, 3], dtype)
    assert (found.scale, found.mean, found.std) == (scale, mean, std)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_can_be_named_alone_or_as_a_field(name: str) -> None:
    assert _resolve(name, [None, 8, 8, 3]) == _resolve({"preset": name}, [None, 8, 8, 3])


def test_a_spec_is_its_own_spec() -> None:
    spec = PreprocessingSpec(preset="raw")
    assert PreprocessingSpec.parse(spec) is spec


@pytest.mark.parametrize(
    ("asked", "shape", "message"),
    [
        (None, [None, None, None, 3], "give preprocessing.size"),
        (None, None, "unknown rank: give preprocessing.size"),
        (None, [None, None], "give preprocessing.size"),
        (None, [None, 1000], "not a square image"),
        ({"size": [10, 10]}, [None, 784], "not 10 x 10 pixels"),
        ({"size": [10, 10]}, [None, 200], "not 10 x 10 pixels"),
        ({"size": [10, 10]}, [None, 8, 8, 3], r"size is \[10, 10\], but"),
        ({"size": [10, 10]}, [None, 8, None, 3], r"size is \[10, 10\], but"),
        ({"color": "gray"}, [None, 8, 8, 3], "set preprocessing.color to rgb or bgr"),
        ({"color": "rgb"}, [None, 8, 8, 1], "set preprocessing.color to gray"),
        ({"color": "rgb"}, [None, 8, 8], "set preprocessing.color to gray"),
        (None, [None, 8, 8, 4], "4 channels"),
        (None, [None, 8, 8, 5], "5 channels"),
        ({"layout": "NCHW"}, [None, 8, 8, 3], "8 channels in the layout NCHW"),
        ({"layout": "flat"}, [None, 8, 8, 3], "set it to NHWC or NCHW"),
        ({"layout": "HW"}, [None, 8, 8, 3], "set it to NHWC or NCHW"),
        ({"layout": "NHWC"}, [None, 8, 8], "set it to HW"),
        ({"layout": "NHWC"}, [None, 784], "set it to flat"),
        ({"mean": [1, 2]}, [None, 8, 8, 3], "mean holds 2 numbers"),
        ({"std": [1, 2, 3]}, [None, 8, 8, 1], "std holds 3 numbers"),
        (None, [], "not that of images"),
        (None, [None], "not that of images"),
        (None, [None, 4, 8, 8, 3], "not that of images"),
    ],
)
def test_a_shape_that_does_not_fit_is_refused_with_what_to_do(
    asked: Any, shape: Shape, message: str
) -> None:
    with pytest.raises(InvalidRequestError, match=message):
        _resolve(asked, shape)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("sepia", "preprocessing.preset"),
        ({"preset": "sepia"}, "preprocessing.preset"),
        ({"sise": [8, 8]}, "has no field 'sise'. Did you mean 'size'[?] Presets are zero_one"),
        ({"\0" + 2000 * "x": 1}, "^The preprocessing has no field '[?]x{79}'[.] Presets"),
        (7, "Presets are zero_one"),
        ([], "Presets are zero_one"),
        ({"size": [8]}, "preprocessing.size"),
        ({"size": [0, 8]}, "each between 1 and 8192"),
        ({"size": [8, 8193]}, "each between 1 and 8192"),
        ({"size": 8}, "preprocessing.size"),
        ({"std": [0]}, "std must not hold 0"),
        ({"std": []}, "preprocessing.std"),
        ({"mean": [1, 2, 3, 4, 5]}, "preprocessing.mean"),
        ({"scale": 0}, "scale must not be 0"),
        ({"scale": 1e-320}, "scale must not be 0"),
        ({"scale": float("nan")}, "finite"),
        ({"mean": [float("inf")]}, "finite"),
        ({"resize": "squeeze"}, "preprocessing.resize"),
        ({"filter": "hamming"}, "preprocessing.filter"),
        ({"standardise": 2}, "preprocessing.standardise"),
        ({"color": "cmyk"}, "preprocessing.color"),
        ({"layout": "CHWN"}, "preprocessing.layout"),
    ],
)
def test_fields_that_make_no_sense_are_refused_by_name(asked: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message) as caught:
        PreprocessingSpec.parse(asked)
    assert "Value error" not in caught.value.message

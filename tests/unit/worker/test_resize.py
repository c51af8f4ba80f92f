"""Resizing: what Pillow makes of every size, box and mode, but for the last bit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from worker.images import resize as module
from worker.images.reduction import Box
from worker.images.resize import resize

sides = st.integers(1, 90)


def _noise(width: int, height: int, mode: str) -> Image.Image:
    shape = (height, width) if mode == "L" else (height, width, len(Image.new(mode, (1, 1)).mode))
    values = np.random.default_rng(width * 1000 + height).integers(0, 256, shape)
    return Image.fromarray(values.astype(np.uint8), mode)


def _differences(image: Image.Image, size: tuple[int, int], box: Box | None) -> Any:
    found = resize(image, size, box, fast_from=0)
    assert (found.mode, found.size) == (image.mode, size)
    expected = image.resize(size, Image.Resampling.BILINEAR, box)
    return np.abs(np.asarray(found, int) - np.asarray(expected, int))


@given(sides, sides, sides, sides, st.sampled_from(["L", "RGB"]), st.data())
@settings(max_examples=300, deadline=None)
def test_no_value_differs_by_more_than_one(
    width: int, height: int, across: int, down: int, mode: str, data: st.DataObject
) -> None:
    box = data.draw(
        st.none()
        | st.builds(
            lambda left, top, right, bottom: (
                left * width * 0.9,
                top * height * 0.9,
                (0.9 + 0.1 * right) * width,
                (0.9 + 0.1 * bottom) * height,
            ),
            *[st.floats(0, 1) for _ in range(4)],
        ).filter(lambda box: box[2] - box[0] > 0.01 and box[3] - box[1] > 0.01)
    )
    differences = _differences(_noise(width, height, mode), (across, down), box)
    assert differences.max() <= 1


@pytest.mark.parametrize("size", [(128, 128), (224, 224), (299, 299), (32, 32)])
@pytest.mark.parametrize("box", [None, (62.5, 0, 437.5, 375), (0.25, 10.75, 499.5, 374)])
def test_few_values_differ(size: tuple[int, int], box: Box | None) -> None:
    differences = _differences(_noise(500, 375, "RGB"), size, box)
    assert (differences > 0).mean() < 0.02


def test_a_photograph_of_twelve_megapixels_is_resized_alike() -> None:
    differences = _differences(_noise(4000, 3000, "RGB"), (128, 128), None)
    assert differences.max() <= 1
    assert (differences > 0).mean() < 0.02


@pytest.mark.parametrize("mode", ["RGBA", "LA", "CMYK"])
def test_other_modes_are_resized_by_pillow(mode: str) -> None:
    image = Image.new(mode, (40, 30), 77)
    expected = image.resize((9, 7), Image.Resampling.BILINEAR)
    assert resize(image, (9, 7), fast_from=0).tobytes() == expected.tobytes()


def test_without_the_fast_library_pillow_resizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_fast", None)
    box = (62.5, 0.0, 437.5, 375.0)
    assert _differences(_noise(500, 375, "RGB"), (128, 128), box).max() == 0


def test_the_image_itself_is_left_as_it_was() -> None:
    image = _noise(50, 40, "RGB")
    before = image.tobytes()
    resize(image, (20, 20), fast_from=0)
    resize(image, (50, 40), fast_from=0)
    assert image.tobytes() == before


def test_small_pictures_are_resized_as_pillow_does_it() -> None:
    image = _noise(999, 1000, "RGB")
    expected = image.resize((128, 128), Image.Resampling.BILINEAR)
    assert resize(image, (128, 128)).tobytes() == expected.tobytes()
    large = _noise(1000, 1000, "RGB")
    expected = large.resize((128, 128), Image.Resampling.BILINEAR)
    assert resize(large, (128, 128)).tobytes() != expected.tobytes()

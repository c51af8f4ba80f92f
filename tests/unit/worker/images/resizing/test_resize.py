"""Resizing: what Pillow makes of every size, box and mode, to the last bit."""

import importlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from structlog.testing import CapturingLogger

from worker.images.resizing.kernels import kernels
from worker.images.resizing.reduction import Box
from worker.images.resizing.resize import resize

sides = st.integers(1, 90)


@pytest.fixture
def compiling_anew() -> Iterator[None]:
    kernels.cache_clear()
    yield
    kernels.cache_clear()


def _noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    shape = (height, width) if mode == "L" else (height, width, len(Image.new(mode, (1, 1)).mode))
    values = np.random.default_rng(width * 1000 + height).integers(0, 256, shape)
    return Image.fromarray(values.astype(np.uint8), mode)


def _assert_alike(image: Image.Image, size: tuple[int, int], box: Box | None = None) -> None:
    found = resize(image, size, box)
    expected = np.asarray(image.resize(size, Image.Resampling.BILINEAR, box))
    assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(found, expected)


def test_there_are_kernels_here() -> None:
    """Else every other test compares Pillow with itself."""
    assert kernels() is not None


@given(sides, sides, sides, sides, st.sampled_from(["L", "RGB"]), st.data())
@settings(max_examples=500, deadline=None)
def test_every_value_is_that_of_pillow(
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
    _assert_alike(_noise(width, height, mode), (across, down), box)


@pytest.mark.parametrize("size", [(128, 128), (224, 224), (299, 299), (32, 32), (227, 1)])
@pytest.mark.parametrize("box", [None, (62.5, 0, 437.5, 375), (0.25, 10.75, 499.5, 374)])
def test_photographs_are_resized_to_the_inputs_of_networks(
    size: tuple[int, int], box: Box | None
) -> None:
    _assert_alike(_noise(500, 375), size, box)


@pytest.mark.parametrize("size", [(281, 500), (200, 400), (30, 5000), (300, 5000)])
def test_tall_pictures_are_resized_in_pillows_other_order(size: tuple[int, int]) -> None:
    _assert_alike(_noise(*size), (128, 128))
    _assert_alike(_noise(*size), (128, 128), (3.5, 7.25, 28.0, size[1] - 0.5))


@pytest.mark.parametrize(("width", "height"), [(2000, 2097), (2100, 2100), (4000, 3000)])
def test_pictures_that_pillow_keeps_in_several_blocks_are_resized_alike(
    width: int, height: int
) -> None:
    """It keeps 16 MB in one."""
    _assert_alike(_noise(width, height), (128, 128), (10.5, 700.25, width - 300, height - 20))


@pytest.mark.parametrize("values", [0, 255])
def test_sums_of_the_greatest_values_do_not_overflow(values: int) -> None:
    image = Image.new("RGB", (997, 1009), (values, values, values))
    for size in ((1, 1), (128, 128), (1400, 1400)):
        _assert_alike(image, size)


@pytest.mark.parametrize("size", [(128, 128), (2, 300), (1, 1)])
@pytest.mark.parametrize("picture", [(500, 375), (1, 9), (3, 2), (300, 900)])
def test_the_fourth_byte_of_rgbx_is_left_out(
    picture: tuple[int, int], size: tuple[int, int]
) -> None:
    image = _noise(*picture)
    padded = Image.merge("RGBX", (*image.split(), Image.new("L", picture, 77)))
    found = resize(padded, size)
    expected = np.asarray(image.resize(size, Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(found, expected)


def test_transparency_is_left_out_and_not_weighed() -> None:
    rng = np.random.default_rng(8)
    image = Image.fromarray(rng.integers(0, 256, (30, 40, 4), dtype=np.uint8))
    for size in ((9, 7), (60, 70)):
        assert np.array_equal(resize(image, size), resize(image.convert("RGB"), size))


@pytest.mark.parametrize("mode", ["LA", "CMYK"])
def test_other_modes_are_resized_by_pillow(mode: str) -> None:
    _assert_alike(Image.new(mode, (40, 30), 77), (9, 7))


def test_the_image_itself_is_left_as_it_was() -> None:
    image = _noise(50, 40)
    before = image.tobytes()
    resize(image, (20, 20))
    resize(image, (50, 40))
    assert image.tobytes() == before


@pytest.mark.usefixtures("compiling_anew")
def test_without_the_compiler_pillow_resizes(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(importlib, "import_module", absent)
    assert kernels() is None
    _assert_alike(_noise(500, 375), (128, 128), (62.5, 0.0, 437.5, 375.0))


@pytest.mark.usefixtures("compiling_anew")
def test_a_machine_that_compiles_nothing_says_so_and_pillow_resizes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    compiler = importlib.import_module("llvmlite.binding")
    # In place of the module's own logger, which keeps the streams of whichever test configured
    # logging before it was used for the first time.
    log = CapturingLogger()
    monkeypatch.setattr("worker.images.resizing.kernels._log", log)

    def forbidden(*_: Any) -> Any:
        raise RuntimeError("no memory may be written and run")

    monkeypatch.setattr(compiler, "create_mcjit_compiler", forbidden)
    assert kernels() is None
    (said,) = log.calls
    assert said.method_name == "warning"
    assert said.kwargs["error"] == "no memory may be written and run"
    _assert_alike(_noise(500, 375), (128, 128))


def test_the_kernels_resize_what_they_can(monkeypatch: pytest.MonkeyPatch) -> None:
    """An RGB picture must not go to Pillow unnoticed."""

    def pillow(*_: Any) -> Any:
        raise AssertionError("Pillow was asked")

    image = _noise(500, 375)
    monkeypatch.setattr(Image.Image, "resize", pillow)
    assert resize(image, (128, 128)).shape == (128, 128, 3)

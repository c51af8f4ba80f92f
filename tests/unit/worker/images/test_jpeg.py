"""Plain JPEGs: the short way gives what Pillow gives, and leaves the rest to it."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from worker.errors import ImageError, ImageTooLargeError, TruncatedImageError
from worker.images import plain_jpeg as jpeg
from worker.images.decode import Limits, decode, decode_for
from worker.images.preprocess import prepare
from worker.models.preprocessing import Color, Preprocessing

MOST = 1_000_000
SPEC = Preprocessing(size=(32, 48), scale=1.0)
PLAIN: list[dict[str, Any]] = [
    {},
    {"progressive": True},
    {"optimize": True},
    {"subsampling": 0},
    {"subsampling": 1},
    {"quality": 5},
    {"quality": 100},
    {"restart_marker_blocks": 3},
    {"comment": b"a comment"},
    {"dpi": (300, 300)},
    {"icc_profile": b"a profile" * 9},
]


def _picture(height: int = 61, width: int = 93) -> Image.Image:
    rng = np.random.default_rng(height * 1000 + width)
    coarse = Image.fromarray(rng.integers(0, 256, (7, 9, 3), dtype=np.uint8))
    return coarse.resize((width, height), Image.Resampling.BICUBIC)


def _jpeg(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _pixels(image: Image.Image) -> npt.NDArray[Any]:
    return np.asarray(image)[..., :3] if image.mode == "RGBX" else np.asarray(image)


def _answer(content: bytes, *, short: bool) -> tuple[str, bytes]:
    """Return what is said of an image, and its pixels."""
    try:
        if short:
            image = decode_for(content, None, limits=Limits(pixels=MOST)).image
        else:
            image = decode(content, limits=Limits(pixels=MOST))
    except ImageError as error:
        return f"{error.code}: {error.message}", b""
    return f"{image.size}", _pixels(image).tobytes()


def _goes_the_short_way(content: bytes) -> bool:
    return decode_for(content, SPEC, limits=Limits(pixels=MOST)).image.mode == "RGBX"


@pytest.mark.parametrize("options", PLAIN, ids=str)
@pytest.mark.parametrize("size", [(61, 93), (64, 64), (1, 1), (1, 9), (300, 7)])
def test_a_plain_jpeg_has_the_very_pixels(options: dict[str, Any], size: tuple[int, int]) -> None:
    content = _jpeg(_picture(*size), **options)
    assert _goes_the_short_way(content)
    found = decode_for(content, SPEC, limits=Limits(pixels=MOST)).image
    expected = decode(content, limits=Limits(pixels=MOST))
    assert (expected.mode, expected.size) == ("RGB", found.size)
    np.testing.assert_array_equal(_pixels(found), _pixels(expected))


@pytest.mark.parametrize("color", ["rgb", "bgr", "gray"])
@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(32, 48), (61, 93)])
def test_the_inputs_of_networks_are_the_same(
    color: Color, resize: Any, size: tuple[int, int]
) -> None:
    spec = Preprocessing(size=size, color=color, resize=resize, scale=1.0)
    content = _jpeg(_picture())
    short, long = (
        prepare(image, spec, np.float32)
        for image in (
            decode_for(content, spec, limits=Limits(pixels=MOST)).image,
            decode(content, limits=Limits(pixels=MOST)),
        )
    )
    np.testing.assert_array_equal(short, long)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(_jpeg(_picture(), exif=_exif(6)), id="on its side"),
        pytest.param(_jpeg(_picture(), exif=_exif(1)), id="Exif"),
        pytest.param(_jpeg(_picture(), xmp=b"<tiff:Orientation>6</tiff:Orientation>"), id="XMP"),
        pytest.param(_jpeg(_picture().convert("L")), id="grey"),
        pytest.param(_jpeg(_picture().convert("CMYK")), id="CMYK"),
        pytest.param(_jpeg(_picture(), keep_rgb=True), id="RGB"),
        pytest.param(_jpeg(_picture())[:2] + b"\xff" + _jpeg(_picture())[2:], id="fill byte"),
    ],
)
def test_what_is_not_plain_is_left_to_pillow(content: bytes) -> None:
    assert not _goes_the_short_way(content)
    np.testing.assert_array_equal(
        _pixels(decode_for(content, SPEC, limits=Limits(pixels=MOST)).image),
        _pixels(decode(content, limits=Limits(pixels=MOST))),
    )


def test_a_picture_on_its_side_is_turned() -> None:
    content = _jpeg(_picture(), exif=_exif(6))
    assert decode_for(content, SPEC, limits=Limits(pixels=MOST)).image.size == (61, 93)


def test_the_limit_on_pixels_holds() -> None:
    content = _jpeg(_picture(100, 100))
    with pytest.raises(ImageTooLargeError, match="100 x 100 pixels; at most 9,999"):
        decode_for(content, SPEC, limits=Limits(pixels=9_999))
    assert decode_for(content, SPEC, limits=Limits(pixels=10_000)).image.size == (100, 100)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_plain_jpeg_that_is_cut_off_says_so(share: float) -> None:
    content = _jpeg(_picture(), quality=95)
    with pytest.raises(TruncatedImageError):
        decode_for(content[: int(len(content) * share)], SPEC, limits=Limits(pixels=MOST))


@pytest.mark.parametrize("options", [{}, {"progressive": True}], ids=str)
def test_damage_has_the_same_answer_either_way(options: dict[str, Any]) -> None:
    content = _jpeg(_picture(), **options)
    rng = np.random.default_rng(7)
    answers = set()
    for number in range(400):
        damaged = bytearray(content)
        for place in rng.integers(2, 700 if number % 2 else len(content), size=1 + number % 3):
            damaged[place] = rng.integers(0, 256)
        found = _answer(bytes(damaged), short=True)
        assert found == _answer(bytes(damaged), short=False)
        answers.add(found[0])
    assert len(answers) > 3


@pytest.mark.parametrize("sampling", [0x14, 0x41, 0x33, 0x00])
def test_an_unusual_resolution_of_colours_has_the_same_answer_either_way(sampling: int) -> None:
    content = bytearray(_jpeg(_picture()))
    frame = content.index(b"\xff\xc0")
    assert content[frame + 11] == 0x22  # of brightness: twice that of the colours
    content[frame + 11] = sampling
    assert _answer(bytes(content), short=True) == _answer(bytes(content), short=False)


def test_without_the_library_pillow_decodes(monkeypatch: pytest.MonkeyPatch) -> None:
    content = _jpeg(_picture())
    monkeypatch.setattr(jpeg, "turbo", lambda: None)
    assert not _goes_the_short_way(content)

"""Decoding: every kind of image, and a sentence for everything that is none."""

import io
import re
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from worker.errors import (
    ImageError,
    ImageTooLargeError,
    NotAnImageError,
    TruncatedImageError,
    UnsupportedFormatError,
)
from worker.images.decode import FORMATS, Limits, decode
from worker.images.kinds import sniff

LIMITS = Limits(pixels=1_000_000)
KINDS: list[tuple[str, dict[str, Any]]] = [
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("MPO", {}),
    ("PNG", {}),
    ("PNG", {"interlace": True}),
    ("GIF", {}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("BMP", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("TIFF", {"compression": "tiff_deflate"}),
    ("TIFF", {"compression": "jpeg"}),
]
BAD_PNG = (
    *("xc1n0g08", "xc9n2c08", "xcrn0g04", "xcsn0g01", "xd0n2c08", "xd3n2c08", "xd9n2c08"),
    *("xdtn0g01", "xhdn0g08", "xlfn0g04", "xs1n0g01", "xs2n0g01", "xs4n0g01", "xs7n0g01"),
)


def _noise(height: int = 60, width: int = 90) -> Image.Image:
    rng = np.random.default_rng(1)
    return Image.fromarray(rng.integers(0, 255, (height, width, 3), dtype=np.uint8))


def _bytes(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _said(content: bytes) -> str:
    """Return what is said of an image; anything but an `ImageError` fails the test."""
    try:
        decode(content, LIMITS)
    except ImageError as error:
        return error.message
    return "It is well."


def _id(value: object) -> str:
    return value if isinstance(value, str) else ",".join(map(str, value)) or "plain"  # type: ignore[call-overload]  # a dict


# -- what is an image -------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=_id)
def test_every_accepted_kind_is_decoded(kind: str, options: dict[str, Any]) -> None:
    content = _bytes(_noise(), kind, **options)
    assert decode(content, LIMITS).size == (90, 60)
    assert sniff(content[:16]) == f"image/{'jpeg' if kind == 'MPO' else kind.lower()}"


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF"])
def test_lossless_kinds_give_the_very_pixels(kind: str) -> None:
    image = _noise()
    found = decode(_bytes(image, kind), LIMITS)
    assert np.array_equal(np.asarray(found), np.asarray(image))


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *[
            ("1", "PNG"),
            ("L", "PNG"),
            ("LA", "PNG"),
            ("P", "PNG"),
            ("RGBA", "PNG"),
            ("I;16", "PNG"),
        ],
        *[("L", "JPEG"), ("CMYK", "JPEG"), ("RGBA", "WEBP"), ("LAB", "TIFF")],
    ],
)
def test_every_mode_is_decoded(mode: str, kind: str) -> None:
    image = Image.new("L", (9, 6), 128).convert("I" if mode == "I;16" else mode)
    image = image.convert(mode)
    assert decode(_bytes(image, kind), LIMITS).size == (9, 6)


def test_of_an_animation_the_first_frame_counts() -> None:
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "lime", "blue")]
    for kind in ("GIF", "PNG", "WEBP"):
        content = _bytes(frames[0], kind, save_all=True, append_images=frames[1:])
        pixel = decode(content, LIMITS).convert("RGB").getpixel((0, 0))
        assert isinstance(pixel, tuple)
        assert pixel[0] > 200
        assert pixel[1] < 50


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"", None),
        (b"\xff\xd8", None),
        (b"%PDF-1.7", None),
        (b"<svg xmlns=", None),
        (b"RIFF\0\0\0\0WAVE", None),
        (b"PK\x03\x04", None),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
        (b"MM\0*", "image/tiff"),
        (b"GIF87a", "image/gif"),
    ],
)
def test_the_first_bytes_tell_the_kind(head: bytes, media_type: str | None) -> None:
    assert sniff(head) == media_type


# -- orientation ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (1, [[1, 2], [3, 4], [5, 6]]),
        (2, [[2, 1], [4, 3], [6, 5]]),
        (3, [[6, 5], [4, 3], [2, 1]]),
        (4, [[5, 6], [3, 4], [1, 2]]),
        (5, [[1, 3, 5], [2, 4, 6]]),
        (6, [[5, 3, 1], [6, 4, 2]]),
        (7, [[6, 4, 2], [5, 3, 1]]),
        (8, [[2, 4, 6], [1, 3, 5]]),
        (0, [[1, 2], [3, 4], [5, 6]]),
        (9, [[1, 2], [3, 4], [5, 6]]),
    ],
)
def test_an_image_is_turned_as_its_exif_data_say(
    orientation: int, upright: list[list[int]]
) -> None:
    image = Image.fromarray(np.array([[1, 2], [3, 4], [5, 6]], np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.asarray(decode(_bytes(image, "PNG", exif=exif), LIMITS)).tolist() == upright


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0rubbish",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff",
    ],
)
def test_damaged_exif_data_do_not_cost_the_pixels(exif: bytes) -> None:
    content = _bytes(_noise(), "JPEG", exif=exif)
    assert decode(content, LIMITS).size == (90, 60)


# -- damage -----------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
@pytest.mark.parametrize(("kind", "options"), KINDS, ids=_id)
def test_an_image_that_is_cut_off_says_so(kind: str, options: dict[str, Any], share: float) -> None:
    content = _bytes(_noise(), kind, **options)
    with pytest.raises(TruncatedImageError, match="cut off"):
        decode(content[: int(len(content) * share)], LIMITS)


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=_id)
def test_whatever_is_left_of_an_image_there_is_an_answer(
    kind: str, options: dict[str, Any]
) -> None:
    content = _bytes(_noise(12, 12), kind, **options)
    for length in range(0, len(content), max(1, len(content) // 60)):
        assert _said(content[:length]).endswith(".")


@pytest.mark.parametrize("kind", FORMATS)
def test_whatever_is_changed_in_an_image_there_is_an_answer(kind: str) -> None:
    rng = np.random.default_rng(2)
    content = bytearray(_bytes(_noise(12, 12), kind))
    for _ in range(150):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 3):
            damaged[place] = rng.integers(256)
        assert _said(bytes(damaged)).endswith(".")


@pytest.mark.parametrize("kind", FORMATS)
def test_only_a_header_is_not_enough(kind: str) -> None:
    with pytest.raises(ImageError):
        decode(_bytes(_noise(), kind)[:12], LIMITS)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"x",
        b"hello, world" * 100,
        b"%PDF-1.7\n",
        b"<svg/>",
        b"PK\x03\x04" + bytes(100),
        bytes(99),
    ],
)
def test_what_is_no_image_at_all_says_so(content: bytes) -> None:
    with pytest.raises(NotAnImageError):
        decode(content, LIMITS)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *[("PPM", "a PNM image"), ("ICO", "an icon (ICO)"), ("PCX", "a PCX image")],
        *[("TGA", "a TGA image"), ("JPEG2000", "a JPEG 2000 image"), ("AVIF", "an AVIF image")],
        *[("DDS", "a DDS texture"), ("SGI", "an SGI image"), ("ICNS", "an icon (ICNS)")],
    ],
)
def test_pictures_of_other_kinds_are_refused_by_name(kind: str, name: str) -> None:
    size = (64, 64) if kind == "ICNS" else (60, 90)
    with pytest.raises(UnsupportedFormatError, match=re.escape(f"The upload is {name}, which")):
        decode(_bytes(_noise(*size), kind), LIMITS)


@pytest.mark.parametrize(("kind", "name"), [("EPS", "a PostScript"), ("PDF", "a PDF document")])
def test_what_is_no_picture_is_none_by_name(kind: str, name: str) -> None:
    with pytest.raises(NotAnImageError, match=f"The upload is {name}"):
        decode(_bytes(_noise(), kind), LIMITS)


@pytest.mark.parametrize("name", BAD_PNG)
def test_a_corrupt_png_of_the_suite_is_refused(fixtures_folder: Path, name: str) -> None:
    content = (fixtures_folder / "bad-images" / f"{name}.png").read_bytes()
    with pytest.raises(ImageError) as caught:
        decode(content, LIMITS)
    assert caught.value.message.endswith(".")
    assert "'" not in caught.value.message
    assert caught.value.code in {"unreadable", "not_an_image"}


@pytest.mark.parametrize("missing", [21, 18, 16, 13])
def test_a_png_that_is_cut_off_at_its_last_bytes_says_so(missing: int) -> None:
    content = _bytes(Image.new("RGB", (4, 4)), "PNG")  # its last 12 bytes are the end mark
    with pytest.raises(TruncatedImageError):
        decode(content[:-missing], LIMITS)


def test_a_png_whose_pixels_do_not_match_their_checksum_is_refused() -> None:
    content = bytearray(_bytes(_noise(), "PNG"))
    place = content.index(b"IDAT")
    (length,) = struct.unpack_from(">I", content, place - 4)
    content[place + 4 + length] ^= 1
    with pytest.raises(ImageError, match="checksum"):
        decode(bytes(content), LIMITS)


# -- bombs ------------------------------------------------------------------------------------


def _png(width: int, height: int) -> bytes:
    """Return a PNG that claims a size and holds next to nothing."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(1000))),
        (b"IEND", b""),
    ]
    packed = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


@pytest.mark.parametrize("size", [(1001, 1000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(
    size: tuple[int, int],
) -> None:
    with pytest.raises(ImageTooLargeError, match="pixels"):
        decode(_png(*size), LIMITS)


def test_an_image_of_just_as_many_pixels_as_allowed_is_decoded() -> None:
    content = _bytes(_noise(10, 10), "PNG")
    assert decode(content, Limits(pixels=100)).size == (10, 10)
    with pytest.raises(ImageTooLargeError, match="10 x 10 pixels; at most 99 are allowed"):
        decode(content, Limits(pixels=99))


def test_an_image_larger_than_pillow_likes_is_decoded_without_a_warning() -> None:
    content = _bytes(Image.new("1", (10_000, 9_000)), "PNG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert decode(content, Limits(pixels=90_000_000)).size == (10_000, 9_000)


def test_a_png_with_a_text_that_unpacks_to_very_much_is_as_any_other() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("comment", "x" * 5_000_000, zip=True)
    content = _bytes(_noise(4, 4), "PNG", pnginfo=info)
    assert len(content) < 10_000
    assert decode(content, LIMITS).size == (4, 4)

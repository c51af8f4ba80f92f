"""TIFFs: of every kind the right pixels, or a sentence that says why there are none."""

import math
import re
import struct
import zlib
from typing import Literal

import numpy as np
import numpy.typing as npt
import pytest

from tests.support.made_tiffs import tiff
from worker.errors import (
    ImageError,
    ImageTooCostlyError,
    TruncatedImageError,
    UnsupportedFormatError,
)
from worker.images.decode import Limits, decode

_RNG = np.random.default_rng(3)
GREY = _RNG.integers(0, 256, (5, 7), dtype=np.uint8)
DEEP = _RNG.integers(0, 65536, (5, 7), dtype=np.uint16)
COLOURS = _RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
FOUR = _RNG.integers(1, 256, (5, 7, 4), dtype=np.uint8)
UNUSED, MULTIPLIED, BESIDE = (0,), (1,), (2,)  # what a further value of each pixel is


def _pixels(content: bytes) -> npt.NDArray[np.int64]:
    return np.asarray(decode(content, Limits()).convert("RGB")).astype(np.int64)


def _in_colours(grey: npt.NDArray[np.generic]) -> npt.NDArray[np.int64]:
    return np.repeat(np.rint(grey).astype(np.int64)[..., np.newaxis], 3, axis=2)


def _refusal(content: bytes) -> str:
    with pytest.raises(UnsupportedFormatError) as caught:
        decode(content, Limits())
    assert caught.value.message.endswith(".")
    return caught.value.message


@pytest.mark.parametrize("order", ["<", ">"])
def test_greys_and_colours_are_what_they_were(order: Literal["<", ">"]) -> None:
    assert np.array_equal(_pixels(tiff(GREY, order=order)), _in_colours(GREY))
    assert np.array_equal(_pixels(tiff(COLOURS, order=order)), COLOURS)
    assert np.array_equal(_pixels(tiff(FOUR, order=order, tags={338: BESIDE})), FOUR[..., :3])
    assert np.array_equal(_pixels(tiff(FOUR, order=order, tags={338: UNUSED})), FOUR[..., :3])


def test_sixteen_bits_are_scaled_and_never_cut_at_255() -> None:
    assert np.array_equal(_pixels(tiff(DEEP, order="<")), _in_colours(DEEP / 257))
    assert np.array_equal(_pixels(tiff(DEEP, order=">")), _in_colours(DEEP / 257))
    deep = _RNG.integers(0, 65536, (5, 7, 3), dtype=np.uint16)
    assert abs(_pixels(tiff(deep)) - deep / 257).max() <= 1


def test_where_white_is_nought_pictures_are_no_negatives() -> None:
    white = {262: (0,)}
    assert np.array_equal(_pixels(tiff(GREY, tags=white)), _in_colours(255 - GREY))
    assert np.array_equal(_pixels(tiff(DEEP, tags=white)), _in_colours(255 - DEEP / 257))


def test_twelve_bits_are_as_bright_as_eight() -> None:
    values = _RNG.integers(0, 4096, (5, 8), dtype=np.uint16)
    pairs = values.reshape(-1, 2).astype(np.uint32)
    packed = (pairs[:, 0] << 12 | pairs[:, 1])[:, np.newaxis] >> np.array([16, 8, 0]) & 255
    content = tiff(packed.astype(np.uint8).reshape(5, 12), tags={256: 8, 258: (12,)})
    assert np.array_equal(_pixels(content), _in_colours(values / 4095 * 255))


def test_colours_that_were_multiplied_with_their_opacity_are_divided_by_it() -> None:
    half = np.full((4, 4, 4), (100, 50, 0, 128), np.uint8)
    assert _pixels(tiff(half, tags={338: MULTIPLIED}))[0, 0].tolist() == pytest.approx(
        [199, 100, 0], abs=1
    )
    grey = np.full((4, 4, 2), (64, 128), np.uint8)
    found = _pixels(tiff(grey, tags={262: (1,), 338: MULTIPLIED}))
    assert found[0, 0].tolist() == pytest.approx([128] * 3, abs=1)


def test_a_palette_gives_its_colours() -> None:
    palette = _RNG.integers(0, 256, (3, 256))
    content = tiff(GREY, tags={262: (3,), 320: tuple((palette.ravel() * 257).tolist())})
    assert np.array_equal(_pixels(content), palette.T[GREY])


def test_lab_is_as_its_formula_says() -> None:
    lab = np.zeros((1, 4, 3), np.int8)
    lab[0] = [(0, 0, 0), (127, 0, 0), (-128, 60, 40), (-100, -30, 20)]  # bytes: L * 2.55, a, b
    found = _pixels(tiff(lab.view(np.uint8), tags={262: (8,)}))[0]
    expected = [_srgb(value & 255, a, b) for value, a, b in lab[0].tolist()]
    assert np.abs(found - expected).max() <= 4


def _srgb(lightness: int, a: int, b: int) -> list[int]:
    """Return the colour of CIE L*a*b* under D50, adapted to D65 by Bradford's matrix."""
    y = (lightness / 2.55 + 16) / 116
    cubes = [t**3 if t > 6 / 29 else (t - 4 / 29) * 3 * (6 / 29) ** 2 for t in _axes(y, a, b)]
    xyz = np.array(cubes) * (0.96422, 1.0, 0.82521)
    matrix = [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
    linear = np.clip(np.array(matrix) @ xyz, 0, 1)
    return [
        round(255 * (12.92 * v if v <= 0.0031308 else 1.055 * math.pow(v, 1 / 2.4) - 0.055))
        for v in linear.tolist()
    ]


def _axes(y: float, a: int, b: int) -> tuple[float, float, float]:
    return y + a / 500, y, y - b / 200


def test_a_bigtiff_is_a_tiff() -> None:
    assert np.array_equal(_pixels(tiff(COLOURS, big=True)), COLOURS)
    assert "BigTIFF" in _refusal(tiff(COLOURS, big=True, order=">"))


def test_only_the_first_of_several_pages_counts() -> None:
    content = bytearray(tiff(GREY))
    content += bytes(2)  # a directory without entries
    place = content.index(struct.pack("<HHI", 279, 4, 1)) + 12
    content[place : place + 4] = struct.pack("<I", len(content) - 2)
    assert np.array_equal(_pixels(bytes(content)), _in_colours(GREY))


@pytest.mark.parametrize(
    ("pixels", "tags", "said"),
    [
        (GREY.astype(np.float32), {339: (3,)}, "grey in 1 floating point value of 32 bits"),
        (GREY.astype(np.float16), {339: (3,)}, "floating point value of 16 bits"),
        (GREY.astype(np.float64), {339: (3,)}, "floating point value of 64 bits"),
        (COLOURS.astype(np.float32), {339: (3,) * 3}, "RGB in 3 floating point values of 32 bits"),
        (GREY.astype(np.uint32), {}, "1 value of 32 bits"),
        (DEEP.view(np.int16), {339: (2,)}, "signed value of 16 bits"),
        (GREY.view(np.int8), {339: (2,)}, "signed value of 8 bits"),
        (GREY.astype(np.complex64), {339: (6,)}, "complex floating point value of 64 bits"),
        (_RNG.integers(0, 9, (5, 7, 5), dtype=np.uint8), {262: (1,)}, "5 values of 8 bits"),
        (FOUR, {262: (5,), 332: (2,)}, "inks that are not cyan"),
        (COLOURS, {262: (6,)}, "YCbCr with coarser colours"),
        (COLOURS, {262: (9,)}, "ICC Lab"),
        (GREY, {262: (32803,)}, "raw photograph"),
        (GREY, {50706: b"\1\4\0\0"}, "raw photograph"),
        (COLOURS, {254: 1, 330: 8}, "raw photograph"),
        (GREY, {259: (50000,)}, "compressed with Zstandard"),
        (GREY, {259: (34925,)}, "compressed with LZMA"),
        (GREY, {259: (6,)}, "old-style JPEG"),
        (GREY, {259: (777,)}, "compressed with method 777"),
    ],
)
def test_what_cannot_be_converted_for_certain_is_refused_by_name(
    pixels: npt.NDArray[np.generic], tags: dict[int, int | tuple[int, ...] | bytes], said: str
) -> None:
    message = _refusal(tiff(pixels, tags=tags))
    assert said in message
    assert re.search("save it|convert it", message)


# -- what the rest of a file may not do -------------------------------------------------------


def test_entries_that_are_not_about_pixels_are_never_read() -> None:
    # Each of these would be read to 8 MB, and all of them together to 32 GB.
    content = tiff(GREY, tags={256 + 7: (1,)})
    large = bytes(8 << 20)
    first = len(content) + len(content) % 2
    start = first + len(large)
    count = 4000
    (old,) = struct.unpack_from("<I", content, 4)
    (kept,) = struct.unpack_from("<H", content, old)
    entries = content[old + 2 : old + 2 + 12 * kept] + b"".join(
        struct.pack("<HHII", 1000 + number, 1, len(large), first) for number in range(count)
    )
    whole = content[:4] + struct.pack("<I", start) + content[8:] + bytes(len(content) % 2) + large
    whole += struct.pack("<H", kept + count) + entries + bytes(4)
    assert np.array_equal(_pixels(whole), _in_colours(GREY))


def test_a_directory_of_too_many_entries_is_refused() -> None:
    entries = b"".join(struct.pack("<HHII", tag, 1, 900_000, 8) for tag in range(65535))
    content = b"II*\0" + struct.pack("<IH", 8, 65535) + entries + bytes(4)
    with pytest.raises(ImageError, match="directory cannot be read"):
        decode(content, Limits())


def test_an_image_in_too_many_pieces_is_refused() -> None:
    pieces = 300_000
    content = tiff(np.zeros((1, 4), np.uint8), tags={257: pieces, 278: 1, 273: 8, 279: 4})
    places = struct.pack("<I", 8) * pieces
    entry = content.index(struct.pack("<HHI", 273, 4, 1))
    listed = struct.pack("<HHII", 273, 4, pieces, len(content))
    with pytest.raises(ImageError, match="300,000 pieces"):
        decode(content[:entry] + listed + content[entry + 12 :] + places, Limits())


def test_a_tile_that_is_far_larger_than_its_image_is_too_costly() -> None:
    tags: dict[int, int | tuple[int, ...] | bytes] = {
        259: (8,),
        322: 40_000,
        323: 40_000,
        324: 8,
        325: 1000,
    }
    content = tiff(np.frombuffer(zlib.compress(bytes(1000)), np.uint8)[np.newaxis], tags=tags)
    with pytest.raises(ImageTooCostlyError, match="more than 3 s"):
        decode(content, Limits())


def test_pixels_beyond_the_end_of_the_file_are_cut_off() -> None:
    content = tiff(GREY, tags={273: 10_000_000})
    with pytest.raises(TruncatedImageError):
        decode(content, Limits())

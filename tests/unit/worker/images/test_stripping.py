"""Stripping: how an image lies is read, and nothing else beside its pixels can do anything."""

import io
import struct
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from worker.errors import ImageError, ImageTooCostlyError, ImageTooLargeError
from worker.images.decode import Limits, decode, decode_for
from worker.models.preprocessing import Preprocessing

SIDEWAYS = 6
XMP = (
    b'<?xpacket begin="" id="x"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description '
    b'tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
)


def _image() -> Image.Image:
    return Image.fromarray(np.arange(0, 240, 4, dtype=np.uint8).reshape(6, 10))


def _bytes(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _exif() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = SIDEWAYS
    return exif


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def _png_with(*chunks: bytes) -> bytes:
    content = _bytes(_image(), "PNG")
    return content[:33] + b"".join(chunks) + content[33:]


def _jpeg_with(*segments: tuple[int, bytes]) -> bytes:
    content = _bytes(_image(), "JPEG")
    packed = b"".join(
        b"\xff" + bytes([kind]) + struct.pack(">H", len(body) + 2) + body for kind, body in segments
    )
    return content[:20] + packed + content[20:]


def _many(count: int, size: int) -> bytes:
    """Return EXIF data of which each of `count` entries says to be `size` bytes long."""
    entries = b"".join(struct.pack("<HHII", tag, 1, size, 8) for tag in range(300, 300 + count))
    return b"II*\0" + struct.pack("<IH", 8, count) + entries + bytes(4)


# -- how an image lies ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_format_with_exif_data_is_turned_upright(kind: str) -> None:
    assert decode(_bytes(_image(), kind, exif=_exif()), Limits()).size == (6, 10)
    assert decode(_bytes(_image(), kind), Limits()).size == (10, 6)


def test_xmp_data_turn_an_image_as_well() -> None:
    contents = [
        _bytes(_image(), "WEBP", xmp=XMP),
        _jpeg_with((0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP)),
        _bytes(_image(), "TIFF", tiffinfo={700: XMP}),
    ]
    for compressed in (False, True):
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode(), zip=compressed)
        contents.append(_bytes(_image(), "PNG", pnginfo=info))
    for content in contents:
        assert decode(content, Limits()).size == (6, 10)


def test_exif_data_as_a_text_of_a_png_turn_it() -> None:
    exif = b"Exif\0\0" + _exif().tobytes()[6:]
    text = b"\nexif\n%8d\n%s\n" % (len(exif), exif.hex().encode())
    chunk = _chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(text))
    assert decode(_png_with(chunk), Limits()).size == (6, 10)


def test_of_several_images_in_a_jpeg_the_first_counts() -> None:
    second = Image.new("L", (30, 20))
    content = _bytes(_image(), "MPO", save_all=True, append_images=[second])
    assert decode(content, Limits()).size == (10, 6)


def test_the_colours_of_adobe_stay_what_they_are() -> None:
    colours = Image.new("CMYK", (16, 16), (200, 10, 30, 40))
    found = decode(_bytes(colours, "JPEG", quality=100), Limits())
    assert np.abs(np.asarray(found).astype(int) - (200, 10, 30, 40)).max() <= 3


# -- what is beside the pixels ----------------------------------------------------------------


def _beside() -> Iterator[tuple[str, bytes]]:
    large = zlib.compress(b"a" * 1_000_000)
    exif = _many(4000, 1_000_000) + bytes(1_000_000)
    pieces = [exif[place : place + 60_000] for place in range(0, len(exif), 60_000)]
    first = b"Exif\0\0"
    yield "exif of a JPEG", _jpeg_with(*((0xE1, first + piece) for piece in pieces))
    yield "images of a JPEG", _jpeg_with((0xE2, b"MPF\0" + _many(4000, 40_000)))
    yield (
        "profiles of a JPEG",
        _jpeg_with(*[(0xE2, b"ICC_PROFILE\0\1\1" + bytes(60_000))] * 100),
    )
    yield "exif of a PNG", _png_with(_chunk(b"eXIf", exif))
    yield "texts of a PNG", _png_with(*[_chunk(b"zTXt", b"k\0\0" + large)] * 1000)
    yield "profiles of a PNG", _png_with(*[_chunk(b"iCCP", b"k\0\0" + large)] * 1000)
    xmp = b"XML:com.adobe.xmp\0\1\0\0\0" + large
    yield "xmp of a PNG", _png_with(*[_chunk(b"iTXt", xmp)] * 1000)
    content = _bytes(_image(), "WEBP", exif=exif)
    yield "exif of a WebP", content
    yield (
        "bytes between the segments",
        _bytes(_image(), "JPEG").replace(b"\xff\xdb", b"\xff" * 5_000_000 + b"\xff\xdb", 1),
    )


@pytest.mark.parametrize(("what", "content"), list(_beside()), ids=lambda v: str(v)[:26])
def test_what_is_beside_the_pixels_costs_next_to_nothing(what: str, content: bytes) -> None:
    del what
    tracemalloc.start()
    try:
        started = time.thread_time()
        assert decode(content, Limits()).size == (10, 6)
        took = time.thread_time() - started
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert took < 2
    assert most < 3 * len(content) + (4 << 20)


# -- time -------------------------------------------------------------------------------------


def test_a_jpeg_of_very_many_scans_is_too_costly() -> None:
    content = _bytes(Image.new("L", (4000, 4000)), "JPEG", progressive=True)
    scan = content[content.rfind(b"\xff\xda") : -2]
    bomb = content[:-2] + scan * 1000 + b"\xff\xd9"
    for spec in (None, Preprocessing(size=(8, 8)), Preprocessing(size=(3000, 3000))):
        with pytest.raises(ImageTooCostlyError, match="more than 3 s to be decoded"):
            decode_for(bomb, spec, Limits())
    assert decode(content, Limits()).size == (4000, 4000)


def test_a_webp_that_would_take_too_long_is_refused_by_its_header() -> None:
    head = b"VP8X" + struct.pack("<IB3x", 10, 2) + (9999).to_bytes(3, "little") * 2
    content = b"RIFF" + struct.pack("<I", len(head) + 4) + b"WEBP" + head
    with pytest.raises(ImageTooCostlyError):
        decode(content, Limits())


@pytest.mark.parametrize(
    "content",
    [
        b"GIF89a\1\0\1\0\0\0\0" + b"!\xfe\0" * 3_000_000,
        b"GIF89a\1\0\1\0\0\0\0!\xfe" + b"\1a" * 3_000_000,
        b"BM"
        + struct.pack("<IHHI", 0, 0, 0, 54 + 1024)
        + struct.pack("<IiiHHIIiiII", 40, 10_000, 9000, 1, 8, 1, 0, 0, 0, 256, 0)
        + bytes(1024)
        + b"\1\0" * 3_000_000,
    ],
    ids=["extensions of a GIF", "a comment of a GIF", "runs of a BMP"],
)
def test_a_decoder_that_takes_too_long_is_stopped_on_its_way(content: bytes) -> None:
    started = time.thread_time()
    with pytest.raises(ImageTooCostlyError, match=r"more than 0\.2 s"):
        decode(content, Limits(seconds=0.2))
    assert time.thread_time() - started < 2


# -- memory -----------------------------------------------------------------------------------


def test_what_does_not_fit_into_memory_as_it_is_stored_says_so() -> None:
    image = Image.new("RGB", (1000, 1000))
    content = _bytes(image, "WEBP")
    assert decode(content, Limits(memory=16 << 20)).size == (1000, 1000)
    with pytest.raises(ImageTooLargeError, match="1000 x 1000 pixels; as it is stored, at most"):
        decode(content, Limits(memory=15 << 20))
    plain = _bytes(image, "JPEG")
    assert decode(plain, Limits(memory=4 << 20)).size == (1000, 1000)
    assert decode_for(plain, None, Limits(memory=4 << 20)).image.size == (1000, 1000)
    scanned = _bytes(image, "JPEG", progressive=True)
    with pytest.raises(ImageTooLargeError):
        decode_for(scanned, None, Limits(memory=6 << 20))


@pytest.mark.parametrize("size", [(70_000, 1), (1, 70_000)])
def test_no_side_is_longer_than_a_jpeg_may_have(size: tuple[int, int]) -> None:
    for kind in ("PNG", "BMP", "TIFF"):
        with pytest.raises(ImageTooLargeError, match="no side may have more than 65,535"):
            decode(_bytes(Image.new("L", size), kind), Limits())


def test_a_png_in_very_many_pieces_is_refused() -> None:
    with pytest.raises(ImageError, match="200,000 pieces"):
        decode(_png_with(*[_chunk(b"tEXt", b"")] * 200_001), Limits())

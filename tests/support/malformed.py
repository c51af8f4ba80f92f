"""Malformed pictures: made of good ones by chance that is always the same, and by hand."""

import io
import random
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from tests.support.bombs import zipped
from tests.support.made_tiffs import tiff

VARIANTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "baseline.jpg": ("RGB", "JPEG", {}),
    "progressive.jpg": ("RGB", "JPEG", {"progressive": True}),
    "grey.jpg": ("L", "JPEG", {}),
    "cmyk.jpg": ("CMYK", "JPEG", {}),
    "colours.png": ("RGB", "PNG", {}),
    "palette.png": ("P", "PNG", {}),
    "bits.png": ("1", "PNG", {}),
    "opacity.png": ("RGBA", "PNG", {}),
    "deep.png": ("I;16", "PNG", {}),
    "palette.gif": ("P", "GIF", {}),
    "lossy.webp": ("RGB", "WEBP", {}),
    "lossless.webp": ("RGBA", "WEBP", {"lossless": True}),
    "colours.bmp": ("RGB", "BMP", {}),
    "palette.bmp": ("P", "BMP", {}),
    "plain.tif": ("RGB", "TIFF", {}),
    "lzw.tif": ("RGB", "TIFF", {"compression": "tiff_lzw"}),
    "deflate.tif": ("L", "TIFF", {"compression": "tiff_deflate"}),
    "packbits.tif": ("RGB", "TIFF", {"compression": "packbits"}),
    "fax.tif": ("1", "TIFF", {"compression": "group4"}),
    "jpeg.tif": ("RGB", "TIFF", {"compression": "jpeg"}),
}


class Case(NamedTuple):
    """One file and what may become of it; None: anything that is documented."""

    name: str
    content: bytes
    expected: frozenset[str] | None = None


@cache
def good(name: str) -> bytes:
    """Return a whole picture of a variant."""
    mode, kind, options = VARIANTS[name]
    values = np.random.default_rng(len(name)).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    image = Image.fromarray(values)
    grey = image.convert("L")
    found = grey.convert("I").convert("I;16") if mode == "I;16" else image.convert(mode)
    buffer = io.BytesIO()
    found.save(buffer, kind, **options)
    return buffer.getvalue()


def made_by_chance(seed: int = 14) -> Iterator[Case]:
    """Give each variant whole, cut off, changed here and there, and spliced with another."""
    chance = random.Random(seed)
    for name in VARIANTS:
        content = good(name)
        yield Case(f"whole-{name}", content, frozenset({"succeeded"}))
        for share in (0.3, 0.6):
            yield Case(f"cut-{share}-{name}", content[: int(len(content) * share)], _CUT)
        yield Case(f"cut-first-{name}", content[: chance.randrange(12, 40)])
        yield Case(f"cut-last-{name}", content[: -chance.randrange(1, 9)])
        for number in range(4):
            yield Case(f"changed-{number}-{name}", _changed(content, chance))
        other = good(chance.choice(sorted(VARIANTS)))
        place = chance.randrange(12, len(content))
        yield Case(f"spliced-{name}", content[:place] + other[chance.randrange(len(other)) :])


def _changed(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    reach = chance.choice((40, len(content)))  # of the header, or anywhere
    for _ in range(chance.randrange(1, 6)):
        place = chance.randrange(min(reach, len(content)))
        changed[place] = chance.choice((0, 0x7F, 0x80, 0xFF, chance.randrange(256)))
    return bytes(changed)


def made_by_hand() -> Iterator[Case]:
    """Give lying headers, bombs, files of two kinds at once, and other kinds."""
    yield from _lying()
    yield from _bombs()
    yield from _other_kinds()


def _lying() -> Iterator[Case]:
    gif, large = good("palette.gif"), frozenset({"too_many_pixels"})
    yield Case("huge.png", _png(60_000, 60_000), large)
    yield Case("long.png", _png(1, 90_000_000), large)
    yield Case("huge.gif", b"GIF89a\xff\xff\xff\xff" + gif[10:], large)
    yield Case("huge.bmp", b"BM" + bytes(12) + struct.pack("<Iii", 40, 2**30, 2**30) + bytes(28))
    yield Case("huge.tif", tiff(np.zeros((2, 2), np.uint8), tags={256: 2**31, 257: 2**31}), large)
    head = b"VP8X" + struct.pack("<IB3x", 10, 2) + b"\xff\xff\xff\xff\xff\xff"
    yield Case("huge.webp", b"RIFF" + struct.pack("<I", len(head) + 4) + b"WEBP" + head, large)
    yield Case("gif-8289x8192.gif", b"GIF89a" + struct.pack("<HH", 8289, 8192) + gif[10:425])


def _bombs() -> Iterator[Case]:
    jpeg, png, gif = good("baseline.jpg"), good("colours.png"), good("palette.gif")
    succeeded, costly = frozenset({"succeeded"}), frozenset({"too_costly"})
    row = zlib.compress(bytes(9000 * 27_001), 9)
    yield Case("black-81-megapixels.png", _png(9000, 9000, row), succeeded)
    scans = io.BytesIO()
    Image.new("L", (3000, 3000)).save(scans, "JPEG", progressive=True)
    scan = scans.getvalue()[scans.getvalue().rfind(b"\xff\xda") : -2]
    yield Case("scans.jpg", scans.getvalue()[:-2] + scan * 2000 + b"\xff\xd9", costly)
    entries = b"".join(struct.pack("<HHII", tag, 1, 900_000, 8) for tag in range(300, 4300))
    exif = b"II*\0" + struct.pack("<IH", 8, 4000) + entries + bytes(860_000)
    parts = [b"Exif\0\0" + exif[at : at + 60_000] for at in range(0, len(exif), 60_000)]
    inside = b"".join(b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in parts)
    yield Case("exif.jpg", jpeg[:2] + inside + jpeg[2:], succeeded)
    text = _chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_000_000)))
    yield Case("texts.png", png[:33] + text * 2000 + png[33:], succeeded)
    profile = _chunk(b"iCCP", b"k\0\0" + zlib.compress(bytes(1_000_000)))
    yield Case("profiles.png", png[:33] + profile * 2000 + png[33:], succeeded)
    yield Case("pieces.png", png[:33] + _chunk(b"tEXt", b"") * 300_000 + png[33:])
    comments = b"!\xfe\0" * 6_000_000
    place = gif.index(b",", 13 + 768)
    yield Case("comments.gif", gif[:place] + comments + gif[place:], costly)
    tile: dict[int, int | tuple[int, ...] | bytes]
    tile = {259: (8,), 322: 50_000, 323: 50_000, 324: 8, 325: 4}
    yield Case("tile.tif", tiff(np.zeros((2, 2), np.uint8), tags=tile), costly)


def _other_kinds() -> Iterator[Case]:
    jpeg, png, gif = good("baseline.jpg"), good("colours.png"), good("palette.gif")
    succeeded, refused = frozenset({"succeeded"}), frozenset({"unsupported_format"})
    other = frozenset({"unsupported_media"})
    page = b"<html><script>alert(1)</script></html>"
    yield Case("jpeg-and-zip.jpg", jpeg + zipped([("a.txt", b"a")]), succeeded)
    yield Case("gif-and-script.gif", gif + page, succeeded)
    yield Case("png-and-page.png", png + page, succeeded)
    yield Case("pdf-with-jpeg.pdf", b"%PDF-1.4\n" + jpeg, other)
    yield Case("page-with-png.html", page + png, other)
    yield Case("zip.zip", zipped([("a.jpg", jpeg)]), other)
    yield Case("text.jpg", b"I am no photograph.", other)
    yield Case("json.json", b'{"image": "/9j/"}', other)
    yield Case("base64.txt", b"/9j/4AAQSkZJRgABAQ", other)
    yield Case("svg.svg", b'<svg xmlns="http://www.w3.org/2000/svg"/>', other)
    yield Case("heic.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), refused)
    yield Case("avif.avif", b"\0\0\0\x18ftypavif\0\0\0\0mif1avif" + bytes(99), refused)
    yield Case("psd.psd", b"8BPS\0\1" + bytes(99), refused)
    floats = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    yield Case("floats.tif", tiff(floats, tags={339: (3,)}), refused)
    pale = np.full((4, 4, 2), (64, 128), np.uint8)
    yield Case("multiplied.tif", tiff(pale, tags={262: (1,), 338: (1,)}), succeeded)
    yield Case("big.tif", tiff(np.zeros((4, 4, 3), np.uint8), big=True), succeeded)
    yield Case("nothing.jpg", b"", frozenset({"invalid_request"}))
    yield Case("zeros.jpg", bytes(5000), other)


_CUT = frozenset({"truncated"})


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def _png(width: int, height: int, rows: bytes = zlib.compress(bytes(100))) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = _chunk(b"IHDR", head), _chunk(b"IDAT", rows), _chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)

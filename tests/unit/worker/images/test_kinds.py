"""Kinds: what is accepted, what is refused by name, and that nobody judges otherwise."""

from pathlib import Path

import pytest

from api.client import images as command_line
from worker.errors import UnsupportedFormatError, UnsupportedMediaError
from worker.images.folders import is_named_like_an_image
from worker.images.kinds import foreign, is_picture, refusal, sniff

ACCEPTED = [
    (b"\xff\xd8\xff\xe0\0\x10JFIF\0\1", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
    (b"GIF87a" + bytes(10), "image/gif"),
    (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
    (b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0", "image/bmp"),
    *((mark + bytes(12), "image/tiff") for mark in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
]
BOXES = b"\0\0\0\x18ftyp"
PICTURES = {
    "HEIC": BOXES + b"heic\0\0\0\0mif1heic",
    "HEIC photograph": BOXES + b"mif1\0\0\0\0mif1heic",
    "AVIF": BOXES + b"avif\0\0\0\0mif1avif",
    "AVIF image": BOXES + b"mif1\0\0\0\0mif1avif",
    "CR3": BOXES + b"crx \0\0\0\x01crx isom",
    "CR2": b"II*\0\x10\0\0\0CR\x02\0\0\0\0\0",
    "ORF": b"IIRO\x08\0\0\0",
    "RW2": b"IIU\0\x08\0\0\0",
    "RAF": b"FUJIFILMCCD-RAW 0201",
    "PSD": b"8BPS\0\1\0\0",
    "JPEG XL": b"\xff\x0a\xfa\x1f",
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n",
    "JPEG XR": b"II\xbc\x01\x08\0\0\0",
    "OpenEXR": b"v/1\x01\2\0\0\0",
    "Radiance HDR": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe",
    "ICO": b"\0\0\1\0\1\0\x10\x10",
    "TGA": b"\0\0\2\0\0\0\0\0\0\0\0\0\x40\0\x40\0\x18\0",
    "PCX": b"\n\5\1\x08\0\0\0\0",
    "PNM": b"P6\n4 4\n255\n" + bytes(48),
    "DICOM": bytes(128) + b"DICM",
}
OTHERS = {
    "SVG": b'<?xml version="1.0"?>\n<!-- made -->\n<svg xmlns="http://www.w3.org/2000/svg">',
    "an HTML page": b"\n<!DOCTYPE html><html><body>404",
    "a PDF": b"%PDF-1.7\n",
    "a video": BOXES + b"isom\0\0\2\0isommp41",
    "JSON": b'{"image": "..."}',
    "a zip archive": b"PK\x03\x04\x14\0\0\0",
    "gzip": b"\x1f\x8b\x08\0",
    "a tar archive": b"a.jpg".ljust(257, b"\0") + b"ustar\x0000",
    "base64 text of a JPEG": b"/9j/4AAQSkZJRg",
    "a data URL": b"data:image/png;base64,iVBOR",
    "text": b"BMW and other cars, hello",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\n",
}


@pytest.mark.parametrize(("head", "media_type"), ACCEPTED)
def test_what_is_accepted_is_told_by_its_first_bytes(head: bytes, media_type: str) -> None:
    assert sniff(head[:16]) == media_type
    assert is_picture(head)
    assert foreign(head) is None or head.startswith(b"MM\0+")


@pytest.mark.parametrize(("name", "head"), PICTURES.items())
def test_other_pictures_are_refused_by_name_with_what_to_do(name: str, head: bytes) -> None:
    assert sniff(head) is None
    assert is_picture(head)
    error = refusal(head)
    assert isinstance(error, UnsupportedFormatError)
    assert (error.code, error.status) == ("unsupported_format", 415)
    assert name in error.message
    assert "convert it" in error.message or "save it as" in error.message


@pytest.mark.parametrize(("name", "head"), OTHERS.items())
def test_what_is_no_picture_is_named_too(name: str, head: bytes) -> None:
    assert sniff(head) is None
    assert not is_picture(head)
    error = refusal(head)
    assert isinstance(error, UnsupportedMediaError)
    assert name in error.message
    assert error.message.endswith(".")


@pytest.mark.parametrize("head", [b"", b"\0", bytes(1024), b"\xfe\xfe" * 40])
def test_what_nobody_knows_is_told_what_is_accepted(head: bytes) -> None:
    assert foreign(head) is None
    assert "send a JPEG, PNG, GIF, WebP, BMP or TIFF" in refusal(head).message


def test_every_name_of_a_picture_that_is_not_accepted_gets_a_row() -> None:
    for suffix in ("heic", "HEIC", "avif", "psd", "jxl", "jp2", "dng", "cr2", "cr3", "nef", "arw"):
        assert is_named_like_an_image(b"IMG_0001." + suffix.encode())


@pytest.mark.parametrize("head", [head for head, _ in ACCEPTED] + list(OTHERS.values()))
def test_the_command_line_judges_as_the_server_does(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "photograph"
    path.write_bytes(head)
    [entry] = command_line.walk([str(path)])
    assert entry.error == (None if sniff(head) else refusal(head).message)
    assert len(list(command_line.walk([str(tmp_path)]))) == is_picture(head)

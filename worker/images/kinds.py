"""Kinds of files, recognised by their first bytes, with advice about those not accepted.

One judgement for all: the API at its door, batches, folders, the command line and the decoder. It
needs no library, so that nobody loads one for it.
"""

import re
from typing import NamedTuple

from worker.errors import PermafrostError, UnsupportedFormatError, UnsupportedMediaError

# Bytes of a file by which any kind is recognised. For accepted kinds 16 would do.
HEAD = 1024

_SEND = "send a JPEG, PNG, GIF, WebP, BMP or TIFF"

_MAGIC = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"II+\x00", "image/tiff"),  # BigTIFF, with offsets of 64 bits
    (b"MM\x00+", "image/tiff"),
)


class RefusedFormat(NamedTuple):
    """A kind that is not accepted."""

    name: str  # with its article: "a HEIC photograph"
    advice: str  # what to do, an order without its full stop
    is_picture: bool = True  # worth a row where it lies among pictures


def sniff(head: bytes) -> str | None:
    """Return the media type of an accepted image by its first bytes (16 suffice), or None."""
    for magic, media_type in _MAGIC:
        if head.startswith(magic):
            return media_type if head[8:11] != b"CR\x02" else None  # Canon's raw files
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    if head[:2] == b"BM" and 0 in head[2:16]:  # no text has such bytes
        return "image/bmp"
    return None


def foreign(head: bytes) -> RefusedFormat | None:
    """Return what a file is that is not accepted, by its first `HEAD` bytes; None if unknown."""
    if head[4:8] == b"ftyp":
        return _media_file(head)
    for offset, magic, found in _FOREIGN:
        if head.startswith(magic, offset):
            return found
    return next((found for pattern, found in _WRITTEN if pattern.match(head)), None)


def is_picture(head: bytes) -> bool:
    """Whether a file that begins so is a picture, of an accepted kind or not."""
    if sniff(head) is not None:
        return True
    found = foreign(head)
    return found is not None and found.is_picture


def refusal(head: bytes) -> PermafrostError:
    """Return the error that says what an upload is, of which `sniff` knows no kind."""
    found = foreign(head)
    if found is None:
        return UnsupportedMediaError(f"The upload is not an image of a known kind: {_SEND}.")
    if found.is_picture:
        return UnsupportedFormatError(
            f"The upload is {found.name}, which is not accepted: {found.advice}."
        )
    return UnsupportedMediaError(f"The upload is {found.name} and not an image: {found.advice}.")


def _converted(name: str, command: str) -> RefusedFormat:
    return RefusedFormat(name, f"convert it to JPEG or PNG, for instance with `{command}`")


def _magick(name: str, suffix: str) -> RefusedFormat:
    return _converted(name, f"magick photo.{suffix} photo.png")


def _raw(name: str, suffix: str) -> RefusedFormat:
    command = f"darktable-cli photo.{suffix} photo.jpg"
    return _converted(f"a raw photograph ({name})", command)


def _other(name: str, advice: str = _SEND) -> RefusedFormat:
    return RefusedFormat(name, advice, is_picture=False)


_HEIC = _converted("a HEIC photograph", "heif-convert photo.heic photo.jpg")
_AVIF = _converted("an AVIF image", "avifdec photo.avif photo.png")
_JPEG_2000 = _converted("a JPEG 2000 image", "opj_decompress -i photo.jp2 -o photo.png")
_JPEG_XL = _converted("a JPEG XL image", "djxl photo.jxl photo.png")
_VIDEO = _other("a video", "take a picture out of it with `ffmpeg -i FILE -frames:v 1 photo.png`")
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis"), _HEIC),
    **dict.fromkeys((b"avif", b"avis"), _AVIF),
    b"crx ": _raw("CR3", "cr3"),
    b"mif1": _HEIC,
    b"msf1": _HEIC,
}
_ARCHIVE = "send an archive of images to `POST /v1/batches` as the file `archive`"
_REPACKED = "pack images as zip or tar and send that to `POST /v1/batches` as the file `archive`"
_DECODED = "send the bytes of the image themselves"
_EXPORT = "export it as PNG"
_LINEAR = "its values have no upper end: choose what is white and save it as"

# Where in the file, what stands there, and what it is.
_FOREIGN = (
    (0, b"\x00\x00\x00\x0cjP  \r\n\x87\n", _JPEG_2000),
    (0, b"\xff\x4f\xff\x51", _JPEG_2000),
    (0, b"\x00\x00\x00\x0cJXL \r\n\x87\n", _JPEG_XL),
    (0, b"\xff\x0a", _JPEG_XL),
    (0, b"II\xbc\x01", _magick("a JPEG XR image", "jxr")),
    (0, b"8BPS", _converted("a Photoshop document (PSD)", "magick 'photo.psd[0]' photo.png")),
    (0, b"gimp xcf", _magick("a GIMP document (XCF)", "xcf")),
    (8, b"CR\x02", _raw("CR2", "cr2")),
    (0, b"IIRO", _raw("ORF", "orf")),
    (0, b"IIRS", _raw("ORF", "orf")),
    (0, b"MMOR", _raw("ORF", "orf")),
    (0, b"IIU\x00", _raw("RW2", "rw2")),
    (0, b"FUJIFILMCCD-RAW", _raw("RAF", "raf")),
    (0, b"FOVb", _raw("X3F", "x3f")),
    (0, b"\x00MRM", _raw("MRW", "mrw")),
    (0, b"v/1\x01", RefusedFormat("an OpenEXR image", f"{_LINEAR} JPEG or PNG")),
    (0, b"#?RADIANCE", RefusedFormat("a Radiance HDR image", f"{_LINEAR} JPEG or PNG")),
    (0, b"#?RGBE", RefusedFormat("a Radiance HDR image", f"{_LINEAR} JPEG or PNG")),
    (0, b"\x00\x00\x01\x00", _converted("an icon (ICO)", "magick 'photo.ico[0]' photo.png")),
    (0, b"icns", _converted("an icon (ICNS)", "sips -s format png photo.icns --out photo.png")),
    (0, b"DDS ", _magick("a DDS texture", "dds")),
    (0, b"\xabKTX ", _other("a KTX texture")),
    (0, b"qoif", _magick("a QOI image", "qoi")),
    (0, b"BPG\xfb", _converted("a BPG image", "bpgdec -o photo.png photo.bpg")),
    (0, b"FLIF", _magick("a FLIF image", "flif")),
    (0, b"\x8aMNG", _magick("an MNG animation", "mng")),
    (0, b"\x8bJNG", _magick("a JNG image", "jng")),
    (0, b"AT&TFORM", _converted("a DjVu document", "ddjvu -format=tiff -page=1 FILE photo.tif")),
    (0, b"\x01\xda\x00", _magick("an SGI image", "sgi")),
    (0, b"\x01\xda\x01", _magick("an SGI image", "sgi")),
    (0, b"\x59\xa6\x6a\x95", _magick("a Sun raster image", "ras")),
    (0, b"SIMPLE  =", _magick("a FITS image", "fits")),
    (128, b"DICM", _converted("a DICOM image", "dcm2img scan.dcm photo.png")),
    (0, b"/* XPM */", _magick("an XPM image", "xpm")),
    (0, b"\xd7\xcd\xc6\x9a", _other("a drawing (WMF)", _EXPORT)),
    (40, b" EMF", _other("a drawing (EMF)", _EXPORT)),
    (0, b"\xc5\xd0\xd3\xc6", _other("a PostScript drawing (EPS)", _EXPORT)),
    (0, b"%!PS", _other("a PostScript document", _EXPORT)),
    (
        0,
        b"%PDF-",
        _other("a PDF document", "turn a page into an image with `pdftoppm -png FILE page`"),
    ),
    (0, b"\x1a\x45\xdf\xa3", _VIDEO),
    (0, b"\x00\x00\x01\xba", _VIDEO),
    (0, b"\x00\x00\x01\xb3", _VIDEO),
    (0, b"FLV\x01", _VIDEO),
    (8, b"AVI LIST", _VIDEO),
    (8, b"WAVE", _other("a sound")),
    (0, b"ID3", _other("a sound")),
    (0, b"OggS", _other("a sound or a video")),
    (0, b"fLaC", _other("a sound")),
    (0, b"PK\x03\x04", _other("a zip archive", _ARCHIVE)),
    (0, b"PK\x05\x06", _other("an empty zip archive")),
    (0, b"\x1f\x8b", _other("a file compressed with gzip", _ARCHIVE)),
    (0, b"BZh", _other("a file compressed with bzip2", _ARCHIVE)),
    (0, b"\xfd7zXZ\x00", _other("a file compressed with xz", _ARCHIVE)),
    (0, b"(\xb5/\xfd", _other("a file compressed with zstd", _REPACKED)),
    (0, b"7z\xbc\xaf\x27\x1c", _other("a 7z archive", _REPACKED)),
    (0, b"Rar!\x1a\x07", _other("a RAR archive", _REPACKED)),
    (257, b"ustar", _other("a tar archive", _ARCHIVE)),
    (
        0,
        b"\x89HDF\r\n\x1a\n",
        _other("an HDF5 file", "if it is a model, send it to `POST /v1/freezes`"),
    ),
    (0, b"\x93NUMPY", _other("a NumPy array", "save it as PNG")),
    (0, b"\x7fELF", _other("a program")),
    (0, b"SQLite format 3", _other("a database")),
    (0, b"/9j/", _other("base64 text of a JPEG", _DECODED)),
    (0, b"iVBORw0KGgo", _other("base64 text of a PNG", _DECODED)),
    (0, b"data:image/", _other("a data URL", _DECODED)),
    (
        0,
        b"version https://git-lfs",
        _other("a Git LFS pointer", "fetch the file itself with `git lfs pull`"),
    ),
)

# Of kinds that are written text: patterns of what they begin with.
_SPACE = rb"(?:\xef\xbb\xbf)?\s*"
_BEFORE = _SPACE + rb"(?:<\?xml[^>]*>\s*)?(?:<!--.{0,400}?-->\s*)?"
_WRITTEN = (
    (
        re.compile(rb"\x00\x00\x02\x00[^\x00]\x00"),
        _converted("a cursor (CUR)", "magick 'photo.cur[0]' photo.png"),
    ),
    (
        re.compile(rb"[\x00-\xff]\x00[\x02\x03\x0a\x0b]\x00{5}"),
        _magick("a TGA image", "tga"),
    ),
    (re.compile(rb"P[1-7][\s#]"), _magick("a PNM image", "ppm")),
    (re.compile(rb"P[Ff]\s"), RefusedFormat("a PFM image", f"{_LINEAR} JPEG or PNG")),
    (re.compile(rb"\n[\x00-\x05]\x01[\x01\x02\x04\x08]"), _magick("a PCX image", "pcx")),
    (re.compile(rb"#define \w+_width "), _magick("an XBM image", "xbm")),
    (
        re.compile(_BEFORE + rb"(?:<!DOCTYPE svg[^>]*>\s*)?<svg\b", re.IGNORECASE | re.DOTALL),
        _other("an SVG drawing", "draw it as pixels with `rsvg-convert FILE -o photo.png`"),
    ),
    (
        re.compile(_BEFORE + rb"<(?:!DOCTYPE html|html|head|body)\b", re.IGNORECASE | re.DOTALL),
        _other("an HTML page", "it says what went wrong where you fetched the image"),
    ),
    (re.compile(_SPACE + rb"<\?xml\b"), _other("an XML document")),
    (re.compile(_SPACE + rb"[{\[][\s\"\[{\]}0-9-]"), _other("JSON", _DECODED)),
    (re.compile(rb"[\t\n\r\x20-\x7e]{1,1024}\Z"), _other("text")),
)


def _media_file(head: bytes) -> RefusedFormat:
    """Return what a file is that is made of boxes; format: ISO/IEC 14496-12."""
    length = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[place : place + 4] for place in range(16, length - 3, 4))]
    # What is in a file of the general brand is said by the brands behind it.
    found = [kind for brand in brands if (kind := _BRANDS.get(brand)) is not None]
    if _AVIF in found:
        return _AVIF
    return found[0] if found else _VIDEO

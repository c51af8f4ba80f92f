"""TIFF: a directory that says how pixels are stored; format: TIFF 6.0 and its supplements."""

import math
import re

from worker.errors import ImageError, TruncatedImageError, UnsupportedFormatError
from worker.images.stripping import StrippedImage
from worker.images.stripping.directory import Directory
from worker.images.stripping.exif import orientation_in, orientation_of

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIPS, _SAMPLES, _TILE_WIDTH, _TILE_HEIGHT, _TILES = 273, 277, 322, 323, 324
_ROWS = 278
_KIND, _COLOURS, _SUB_IMAGES, _INKS, _FORMAT = 254, 320, 330, 332, 339
_TABLES, _SUBSAMPLING, _XMP, _DNG = 347, 530, 700, 50706
_LISTS = frozenset({_STRIPS, 279, _TILES, 325})  # one value for each piece of the image
_PIXELS = _LISTS | {
    *(_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, 266, _SAMPLES, _ROWS, 284, 292, 293, 317),
    *(_COLOURS, _TILE_WIDTH, _TILE_HEIGHT, _INKS, 338, _FORMAT, _TABLES, 529, _SUBSAMPLING),
    *(531, 532),
}
_MOST_PIECES = 200_000
_MOST_VALUES = {**dict.fromkeys(_LISTS, _MOST_PIECES), _COLOURS: 3 * 65536, _TABLES: 65536}
_MOST_OTHER_VALUES = 64

_JPEG = 7
_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, _JPEG, 8, 32773, 32946})
_COMPRESSION_NAMES = {
    6: "old-style JPEG",
    9: "JBIG",
    10: "JBIG",
    32766: "NeXT's method",
    32809: "ThunderScan",
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34676: "SGI Log",
    34677: "SGI Log",
    34712: "JPEG 2000",
    34713: "Nikon's raw method",
    34887: "LERC",
    34892: "lossy JPEG of a raw photograph",
    34925: "LZMA",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _CMYK, _YCBCR = 0, 1, 5, 6
_PHOTOMETRIC_NAMES = {
    _WHITE_IS_ZERO: "grey",
    _BLACK_IS_ZERO: "grey",
    2: "RGB",
    3: "palette",
    4: "mask",
    _CMYK: "CMYK",
    _YCBCR: "YCbCr",
    8: "Lab",
    9: "ICC Lab",
    10: "ITU Lab",
    32844: "logarithmic luminance",
    32845: "logarithmic luminance",
}
_RAW = frozenset({32803, 34892})  # what a sensor's cells saw
_FORMAT_NAMES = {2: "signed", 3: "floating point", 5: "complex", 6: "complex floating point"}
_DEEPEST = 16  # bits of a value
_PROGRESSIVE = re.compile(rb"\xff\xc2\x00[\x08-\x20]\x08")

_PIXEL_S = 15e-9  # for each pixel
_PIECE_S = 5e-6  # for each strip or tile
_JPEG_PIECE_S = 60e-6


def strip(data: bytes) -> StrippedImage:
    """Return a TIFF of which only the first image is left.

    Raises `UnsupportedFormatError` where what its values mean is not certain, or how they are
    packed is not accepted: whatever would come of it, it would not be what the image shows.
    """
    try:
        directory = Directory(data)
    except ValueError:
        raise _damage(data) from None
    _check_kind(directory, data)
    _check_counts(directory)
    width, height = directory.number(_WIDTH) or 0, directory.number(_HEIGHT) or 0
    if not width or not height:
        raise ImageError("The TIFF is damaged: it says no size. Save it again.")
    return StrippedImage(
        _with_directory(data, directory),
        _orientation(data, directory),
        (width, height),
        _greys(directory),
        _cost_s(directory, width, height),
        _memory(directory, width, height),
    )


def is_cut_off(directory: Directory, length: int) -> bool:
    """Whether pixels lie beyond the end of a file of this length."""
    for places, sizes in ((_STRIPS, 279), (_TILES, 325)):
        starts = directory.numbers(places, _MOST_PIECES)
        lengths = directory.numbers(sizes, _MOST_PIECES)
        if any(start + size > length for start, size in zip(starts, lengths, strict=False)):
            return True
    return False


def described(directory: Directory) -> str:
    """Return in words what the pixels of a TIFF are: "RGB in 5 values of 8 bits each"."""
    bits = directory.numbers(_BITS, 8) or (1,)
    name = _PHOTOMETRIC_NAMES.get(_photometric(directory), "an unknown kind of pixels")
    samples = directory.number(_SAMPLES) or len(bits)
    depth = " and ".join(str(bit) for bit in sorted(set(bits)))
    number = directory.number(_FORMAT) or 1
    kind = f"{_FORMAT_NAMES[number]} " if number in _FORMAT_NAMES else ""
    return f"{name} in {samples} {kind}value{'s' * (samples != 1)} of {depth} bits"


def refused(what: str) -> UnsupportedFormatError:
    """Return the error about a TIFF of pixels that are not accepted."""
    return UnsupportedFormatError(
        f"The image is a TIFF of {what}, which is not accepted: save it with 8 bits for each "
        "colour, as PNG or as TIFF."
    )


def _photometric(directory: Directory) -> int:
    found = directory.number(_PHOTOMETRIC)
    return _WHITE_IS_ZERO if found is None else found  # as its decoder takes it


def _damage(data: bytes) -> ImageError:
    order = "little" if data[:1] == b"I" else "big"
    start = int.from_bytes(data[4:8], order) if len(data) >= 8 else len(data)  # type: ignore[arg-type]  # one of two words
    if data[2:4] in (b"+\0", b"\0+") or start + 2 > len(data) or _ends_within(data, start, order):
        return TruncatedImageError("The image is cut off before its last pixel.")
    return ImageError("The TIFF is damaged: its directory cannot be read. Save it again.")


def _ends_within(data: bytes, start: int, order: str) -> bool:
    count = int.from_bytes(data[start : start + 2], order)  # type: ignore[arg-type]  # one of two words
    return count <= _MOST_OTHER_VALUES and start + 2 + count * 12 > len(data)


def _check_kind(directory: Directory, data: bytes) -> None:
    photometric = _photometric(directory)
    compression = directory.number(_COMPRESSION) or 1
    is_preview = bool((directory.number(_KIND) or 0) & 1) and _SUB_IMAGES in directory
    if _DNG in directory or photometric in _RAW or is_preview:
        raise UnsupportedFormatError(
            "The image is a camera's raw photograph (such as DNG, NEF or ARW), which is not "
            "accepted: convert it to JPEG, for instance with `darktable-cli photo.dng photo.jpg`."
        )
    if compression not in _COMPRESSIONS:
        name = _COMPRESSION_NAMES.get(compression, f"method {compression}")
        raise UnsupportedFormatError(
            f"The image is a TIFF compressed with {name}, which is not accepted: save it without "
            "compression or with LZW, or as PNG."
        )
    if compression == _JPEG and _PROGRESSIVE.search(data):
        raise UnsupportedFormatError(
            "The image is a TIFF of progressive JPEGs, which is not accepted: save it with LZW, "
            "or as PNG."
        )
    if directory.is_big and directory.order == "big":
        raise UnsupportedFormatError(
            "The image is a BigTIFF with its highest bytes first, which is not accepted: save it "
            "as a TIFF of the usual kind, or as PNG."
        )
    bits = directory.numbers(_BITS, 8) or (1,)
    formats = directory.numbers(_FORMAT, 8)
    is_odd = any(number in _FORMAT_NAMES for number in formats) or max(bits) > _DEEPEST
    if is_odd or len(set(bits)) > 1 or photometric not in (0, 1, 2, 3, 5, 6, 8):
        raise refused(described(directory))
    if photometric == _CMYK and directory.number(_INKS) == 2:
        raise refused("inks that are not cyan, magenta, yellow and black")
    whole = directory.numbers(_SUBSAMPLING, 2) == (1, 1)
    if photometric == _YCBCR and compression == 1 and not whole and len(bits) > 1:
        raise refused("YCbCr with coarser colours and no compression")


def _check_counts(directory: Directory) -> None:
    for tag in _PIXELS:
        entry = directory.get(tag)
        if entry is None or entry.values <= _MOST_VALUES.get(tag, _MOST_OTHER_VALUES):
            continue
        if tag in _LISTS:
            raise ImageError(
                f"The TIFF is cut into {entry.values:,} pieces, and at most {_MOST_PIECES:,} are "
                "read: save it in fewer strips."
            )
        raise ImageError("The TIFF is damaged: its directory cannot be read. Save it again.")


def _with_directory(data: bytes, directory: Directory) -> bytes:
    """Return the file with a directory of the essential entries behind it, which counts."""
    start = len(data) + len(data) % 2
    body = directory.of(_PIXELS)
    if directory.is_big:
        head = data[:8] + start.to_bytes(8, directory.order)
    else:
        head = data[:4] + start.to_bytes(4, directory.order)
    return b"".join((head, data[len(head) :], bytes(len(data) % 2), body))


def _orientation(data: bytes, directory: Directory) -> int | None:
    found = orientation_of(data)
    xmp = directory.get(_XMP)
    if found is None and xmp is not None:
        return orientation_in(data[xmp.place : xmp.place + xmp.length])
    return found


def _greys(directory: Directory) -> tuple[int, int]:
    bits = directory.number(_BITS) or 1
    most = (1 << bits) - 1 if bits in (12, 16) else 65535
    return (most, 0) if _photometric(directory) == _WHITE_IS_ZERO else (0, most)


def _cost_s(directory: Directory, width: int, height: int) -> float:
    across, down = directory.number(_TILE_WIDTH), directory.number(_TILE_HEIGHT)
    if _TILES in directory and across and down:
        width = math.ceil(width / across) * across
        height = math.ceil(height / down) * down
    pieces = max((entry.values for tag in _LISTS if (entry := directory.get(tag))), default=1)
    is_jpeg = directory.number(_COMPRESSION) == _JPEG
    return width * height * _PIXEL_S + pieces * (_JPEG_PIECE_S if is_jpeg else _PIECE_S)


def _memory(directory: Directory, width: int, height: int) -> int:
    """Return the size of one strip or tile unpacked, in bytes."""
    rows = min(height, directory.number(_ROWS) or height)
    if _TILES in directory:
        width, rows = directory.number(_TILE_WIDTH) or 0, directory.number(_TILE_HEIGHT) or 0
    bits = directory.numbers(_BITS, 8) or (1,)
    samples = max(directory.number(_SAMPLES) or 1, len(bits))
    return width * rows * samples * max(bits) // 8

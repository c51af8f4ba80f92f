"""Archives that are made to harm whoever unpacks them, built when they are needed."""

import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from typing import Any

MIB = 2**20
Builder = Callable[[], bytes]


def zipped(files: Iterable[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip of files."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files:
            archive.writestr(name, content)
    return stream.getvalue()


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return one header of a tar."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def entry(name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE) -> bytes:
    """Return one header of a tar with its content."""
    return header(name, len(content), kind) + content + bytes(-len(content) % 512)


def tar(*entries: bytes) -> bytes:
    """Return a whole tar of entries."""
    return b"".join(entries) + bytes(1024)


def pax(*records: tuple[str, str], kind: bytes = tarfile.XHDTYPE) -> bytes:
    """Return an extended header with records."""
    content = b""
    for key, value in records:
        rest = f" {key}={value}\n".encode()
        length = len(rest) + 1
        while len(str(length)) + len(rest) != length:
            length = len(str(length)) + len(rest)
        content += str(length).encode() + rest
    return entry("pax", content, kind)


def directory_entry(
    name: bytes, *, offset: int = 0, size: int = 0, packed: int = 0, method: int = 0,
    flags: int = 0, extra: bytes = b"", crc: int = 0,
) -> bytes:  # fmt: skip
    """Return one entry of a zip's directory."""
    fields = (20, 20, flags, method, 0, 0, crc, packed, size)
    lengths = (len(name), len(extra), 0, 0, 0, 0, offset)
    return struct.pack("<4s6H3L5H2L", b"PK\x01\x02", *fields, *lengths) + name + extra


def local_header(
    name: bytes, *, size: int = 0, packed: int = 0, method: int = 0, flags: int = 0, crc: int = 0,
    extra: bytes = b"",
) -> bytes:  # fmt: skip
    """Return what stands before a member's content in a zip."""
    fields = (20, flags, method, 0, 0, crc, packed, size, len(name), len(extra))
    return struct.pack("<4s5H3L2H", b"PK\x03\x04", *fields) + name + extra


def end_of_zip(entries: int, size: int, offset: int) -> bytes:
    """Return what stands at the end of a zip."""
    few = min(entries, 0xFFFF)
    return struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, few, few, size, offset, 0)


def with_directory(content: bytes, entries: list[bytes]) -> bytes:
    """Return a zip of what stands before its directory, and that."""
    directory = b"".join(entries)
    return content + directory + end_of_zip(len(entries), len(directory), len(content))


def overlapping(quoted: bool) -> bytes:
    """Return a zip of which all members unpack the same bytes (Fifield, WOOT 2019)."""
    kernel = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = kernel.compress(bytes(MIB)) + kernel.flush()
    crc, count = zlib.crc32(bytes(MIB)), 50
    if not quoted:
        head = local_header(b"a.jpg", size=MIB, packed=len(packed), method=8, crc=crc)
        named = [
            directory_entry(b"a.jpg", size=MIB, packed=len(packed), method=8, crc=crc)
            for _ in range(count)
        ]
        return with_directory(head + packed, named)
    # Each file's data begins with a stored block that quotes the headers which follow.
    content, entries, data, unpacked = b"", [], packed, bytes(MIB)
    for n in reversed(range(count)):
        name = b"%02d.jpg" % n
        if n < count - 1:
            head = content[: 30 + 6]
            quote = struct.pack("<BHH", 0, len(head), ~len(head) & 0xFFFF)
            data, unpacked = quote + content, head + unpacked
        about: dict[str, Any] = {"size": len(unpacked), "packed": len(data), "method": 8}
        about["crc"] = zlib.crc32(unpacked)
        content = local_header(name, **about) + data
        entries.append((name, about, len(content)))
    whole = len(content)
    listed = [
        directory_entry(name, offset=whole - length, **about) for name, about, length in entries
    ]
    return with_directory(content, listed)


def forged_method(method: int) -> bytes:
    """Return a zip whose member says that it is compressed by a method."""
    head = local_header(b"a.jpg", size=10, packed=10, method=method)
    listed = directory_entry(b"a.jpg", size=10, packed=10, method=method)
    return with_directory(head + bytes(10), [listed])


def encrypted(*, flags: int = 1, method: int = 8) -> bytes:
    """Return a zip whose member says that it is encrypted."""
    head = local_header(b"a.jpg", size=10, packed=22, method=method, flags=flags)
    listed = directory_entry(b"a.jpg", size=10, packed=22, method=method, flags=flags)
    return with_directory(head + bytes(22), [listed])


def zip64_lie() -> bytes:
    """Return a zip whose member has a size of almost 2^63 by a zip64 field."""
    extra = struct.pack("<2HQQ", 1, 16, 2**63 - 1, 10)
    head = local_header(b"a.jpg", size=0xFFFFFFFF, packed=0xFFFFFFFF, extra=extra)
    listed = directory_entry(b"a.jpg", size=0xFFFFFFFF, packed=0xFFFFFFFF, extra=extra)
    return with_directory(head + bytes(10), [listed])


def lying_end(entries: int, size: int, offset: int) -> bytes:
    """Return a zip whose end says what is not so."""
    content = zipped([("a.jpg", b"x" * 100)])
    return content[:-22] + end_of_zip(entries, size, offset)


def huge_dictionary() -> bytes:
    """Return a tar.xz of some bytes that asks for 4 GiB to be unpacked."""
    packed = bytearray(lzma.compress(tar(entry("a.jpg", b"x")), preset=0))
    length = (packed[12] + 1) * 4  # of the block's header; the last four bytes are its CRC
    place = packed.index(b"\x21\x01", 12, 12 + length)  # LZMA2, one byte of properties
    packed[place + 2] = 40
    end = 12 + length - 4
    packed[end : end + 4] = struct.pack("<L", zlib.crc32(packed[12:end]))
    return bytes(packed)


def endless_gzip_name() -> bytes:
    """Return a gzip file whose header holds a name without end."""
    return b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * (4 * MIB)


def sparse_map(count: int) -> bytes:
    """Return a tar with a sparse file of GNU's format 1.0, whose map is long."""
    numbers = b"%d\n" % count + b"1\n" * (2 * count)
    about = pax(
        ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "a.jpg"),
        ("GNU.sparse.realsize", str(2**60)),
    )  # fmt: skip
    return tar(about, entry("a.jpg", numbers))


def old_sparse() -> bytes:
    """Return a tar with a sparse file of GNU's old format that says that it is an exabyte."""
    made = bytearray(header("a.jpg", 0, tarfile.GNUTYPE_SPARSE))
    made[483:495] = b"\x80" + bytes(3) + (2**60).to_bytes(8, "big")
    return tar(resealed(made))


def resealed(head: bytearray) -> bytes:
    """Return a tar's header with the checksum that it should have."""
    head[148:156] = b" " * 8
    head[148:156] = b"%06o\0 " % sum(head)
    return bytes(head)


def negative_size() -> bytes:
    """Return a tar whose file has a size below nothing."""
    made = bytearray(header("a.jpg"))
    made[124:136] = b"\xff" * 11 + b"\x00"
    return tar(resealed(made), entry("b.jpg", b"x"))


BOMBS: dict[str, tuple[Builder, str]] = {
    # name: how it is built, the code of the answer or 'read' where it is only strange
    "zip of bzip2": (
        lambda: zipped([("a.jpg", bytes(50 * MIB))], zipfile.ZIP_BZIP2), "unsupported_media",
    ),
    "zip of LZMA": (
        lambda: zipped([("a.jpg", bytes(50 * MIB))], zipfile.ZIP_LZMA), "unsupported_media",
    ),
    "zip of Zstandard": (lambda: forged_method(93), "unsupported_media"),
    "zip of Deflate64": (lambda: forged_method(9), "unsupported_media"),
    "zip of a method that nobody knows": (lambda: forged_method(4711), "unsupported_media"),
    "zip that is encrypted": (encrypted, "bad_archive"),
    "zip that is encrypted with AES": (lambda: encrypted(method=99), "bad_archive"),
    "zip that is strongly encrypted": (lambda: encrypted(flags=0x41), "bad_archive"),
    "zip that unpacks to zeros": (
        lambda: zipped([("a.jpg", bytes(100 * MIB))]), "archive_too_large",
    ),
    "zip of zeros that are no image": (
        lambda: zipped([(f"{n}.txt", bytes(35 * MIB)) for n in range(2)]), "archive_too_large",
    ),
    "zip whose members overlap": (lambda: overlapping(quoted=False), "bad_archive"),
    "zip whose members quote each other": (lambda: overlapping(quoted=True), "bad_archive"),
    "zip with a size of 2^63": (zip64_lie, "archive_too_large"),
    "zip with an endless directory": (lambda: lying_end(1, 0xFFFFFFF0, 0), "bad_archive"),
    "zip with a directory before the file": (lambda: lying_end(1, 2**31, 2**31), "bad_archive"),
    "zip of nothing but a directory": (
        lambda: with_directory(b"PK\x03\x04", [directory_entry(b"a")] * 300_000),
        "archive_too_large",
    ),
    "zip with names of 64 KiB": (
        lambda: zipped([(f"{n:03}" + "n" * 65_000, b"") for n in range(100)]), "bad_archive",
    ),
    "zip with a directory of 32 MiB": (
        lambda: with_directory(
            b"PK\x03\x04", [directory_entry(b"a", extra=bytes(65_000))] * 500
        ), "archive_too_large",
    ),
    "zip of 20,000 empty files": (
        lambda: zipped([(f"{n}.jpg", b"") for n in range(20_000)]), "archive_too_large",
    ),
    "zip of deep folders": (lambda: zipped([("d/" * 2000 + "a.jpg", b"x")]), "read"),
    "zip without a file": (lambda: zipped([]), "bad_archive"),
    "zip of folders": (lambda: zipped([("a/", b"")]), "bad_archive"),
    "zip in a zip": (
        lambda: zipped([("b.zip", zipped([("a.jpg", bytes(30 * MIB))]))]), "read",
    ),
    "zip behind a zip": (
        lambda: zipped([("a.jpg", b"1")]) + zipped([("b.jpg", b"2")]), "read",
    ),
    "tar behind a zip": (
        lambda: zipped([("a.jpg", b"1")]) + tar(entry("b.jpg", b"2")), "read",
    ),
    "zip behind a picture": (
        lambda: b"\xff\xd8\xff\xe0" + bytes(2000) + zipped([("a.jpg", b"1")]), "unsupported_media",
    ),
    "tar without a file": (lambda: bytes(10_240), "bad_archive"),
    "tar of links and devices": (
        lambda: tar(*[header("a.jpg", 0, kind) for kind in (b"1", b"2", b"3", b"4", b"6")]),
        "bad_archive",
    ),
    "tar whose file is larger than itself": (lambda: header("a.jpg", 2**20), "bad_archive"),
    "tar whose file is of 2^60 bytes": (
        lambda: tar(header("a.jpg", 2**60), header("b.jpg")), "archive_too_large",
    ),
    "tar with a size below nothing": (negative_size, "bad_archive"),
    "tar with a size below nothing in pax": (
        lambda: tar(pax(("size", "-100000")), entry("a.jpg", bytes(600)), entry("b.jpg")),
        "bad_archive",
    ),
    "tar with a huge size in pax": (
        lambda: tar(pax(("size", str(2**62))), entry("a.jpg", b"x")), "archive_too_large",
    ),
    "tar.gz with a pax header of 100 MiB": (
        lambda: gzip.compress(tar(pax(("comment", "x" * 100 * MIB)), entry("a.jpg")), 1),
        "bad_archive",
    ),
    "tar.gz with a pax header for all of 8 MiB": (
        lambda: gzip.compress(
            tar(pax(("comment", "x" * 8 * MIB), kind=tarfile.XGLTYPE), entry("a.jpg")), 1
        ), "bad_archive",
    ),
    "tar with many pax headers for all": (
        lambda: tar(
            *[pax((f"key{n}", "x"), kind=tarfile.XGLTYPE) for n in range(5000)], entry("a.jpg")
        ), "bad_archive",
    ),
    "tar with pax headers of digits": (
        lambda: tar(*[entry("pax", b"1" * 16_000, tarfile.XHDTYPE), entry("a.jpg")] * 100),
        "bad_archive",
    ),
    "tar with pax headers of numbers": (
        lambda: gzip.compress(
            tar(*[entry("pax", b"12345678901234567 " * 800, tarfile.XHDTYPE),
            entry("a.jpg")] * 100)
        ), "read",
    ),
    "tar.gz with a name of 100 MiB": (
        lambda: gzip.compress(
            tar(entry("long", b"n" * 100 * MIB, tarfile.GNUTYPE_LONGNAME), entry("a.jpg")), 1
        ), "bad_archive",
    ),
    "tar.gz with a link of 100 MiB": (
        lambda: gzip.compress(
            tar(entry("long", b"n" * 100 * MIB, tarfile.GNUTYPE_LONGLINK), entry("a.jpg")), 1
        ), "bad_archive",
    ),
    "tar of names for names": (
        lambda: tar(entry("long", b"n", tarfile.GNUTYPE_LONGNAME) * 5000, entry("a.jpg")),
        "bad_archive",
    ),
    "tar with a long sparse map": (lambda: sparse_map(200_000), "bad_archive"),
    "tar with a short sparse map": (lambda: sparse_map(2), "bad_archive"),
    "tar with an old sparse file": (old_sparse, "bad_archive"),
    "tar with a sparse map in pax": (
        lambda: tar(
            pax(("GNU.sparse.map", "0,1," + str(2**60) + ",1"), ("GNU.sparse.size", str(2**60))),
            entry("a.jpg", b"xy"),
        ), "bad_archive",
    ),
    "tar of 20,000 empty files": (
        lambda: tar(*[header(f"{n}.jpg") for n in range(20_000)]), "archive_too_large",
    ),
    "tar.gz of 20,000 folders": (
        lambda: gzip.compress(tar(*[header(f"{n}", 0, b"5") for n in range(20_000)]), 1),
        "archive_too_large",
    ),
    "tar.gz that passes over 150 MiB": (
        lambda: gzip.compress(
            tar(entry("a.bin", bytes(150 * MIB), b"Z"), entry("a.jpg", b"x")), 1
        ), "archive_too_large",
    ),
    "tar.gz whose device has 150 MiB": (
        lambda: gzip.compress(tar(*[entry("a", bytes(50 * MIB), b"7")] * 3), 9),
        "archive_too_large",
    ),
    "tar.xz that passes over 100 MiB": (
        lambda: lzma.compress(tar(entry("a.bin", bytes(100 * MIB), b"Z")), preset=0),
        "archive_too_large",
    ),
    "tar.xz with a dictionary of 4 GiB": (huge_dictionary, "unsupported_media"),
    "tar.gz behind 100,000 empty streams": (
        lambda: gzip.compress(b"") * 100_000 + gzip.compress(tar(entry("a.jpg", b"x"))),
        "archive_too_large",
    ),
    "gzip with an endless name": (endless_gzip_name, "bad_archive"),
    "gzip that is no tar": (lambda: gzip.compress(b"text" * 10**6), "unsupported_media"),
    "gzip of random bytes": (lambda: b"\x1f\x8b\x08\x00" + bytes(range(256)) * 40, "bad_archive"),
    "bzip2 of random bytes": (lambda: b"BZh9" + bytes(range(256)) * 40, "bad_archive"),
    "xz of random bytes": (lambda: b"\xfd7zXZ\x00" + bytes(range(256)) * 40, "bad_archive"),
    "no archive": (lambda: b"hello", "unsupported_media"),
    "nothing": (lambda: b"", "unsupported_media"),
}  # fmt: skip

"""Archives: every file is a member or a problem, nothing is unpacked that is too large."""

import bz2
import gzip
import io
import lzma
import os
import random
import tarfile
import zipfile
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.pictures import jpeg
from worker.archives import ArchiveLimits, members
from worker.errors import (
    ArchiveTooLargeError,
    BadArchiveError,
    DamagedMemberError,
    PermafrostError,
    UnsupportedMediaError,
)

IMAGE = jpeg(100)
LIMIT = 100_000
Files = dict[str, bytes]


def zipped(files: Files) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def tarred(files: Files, mode: str = "w") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


KINDS: list[Callable[[Files], bytes]] = [
    zipped,
    tarred,
    lambda files: tarred(files, "w:gz"),
    lambda files: tarred(files, "w:bz2"),
    lambda files: tarred(files, "w:xz"),
]


class Read(NamedTuple):
    path: bytes
    content: bytes | None  # None where the file is damaged
    problem: str = ""


def read(content: bytes, *, entries: int = 1000, unpacked_bytes: int = 10**8) -> list[Read]:
    limits = ArchiveLimits(entries=entries, unpacked_bytes=unpacked_bytes, ratio=100.0)
    found = []
    for member in members(io.BytesIO(content), limits):
        try:
            found.append(Read(member.path, member.read_first(LIMIT + 1)))
        except DamagedMemberError as error:
            found.append(Read(member.path, None, error.message))
    return found


@pytest.mark.parametrize("pack", KINDS)
def test_files_come_in_their_order_with_their_bytes(pack: Callable[[Files], bytes]) -> None:
    files = {"b.jpg": IMAGE, "a/é.jpg": b"x", "a/": b"", "empty.jpg": b""}
    found = read(pack({name: content for name, content in files.items() if name != "a/"}))
    assert [(member.path, member.content) for member in found] == [
        (b"b.jpg", IMAGE),
        ("a/é.jpg".encode(), b"x"),
        (b"empty.jpg", b""),
    ]


@pytest.mark.parametrize("pack", KINDS)
def test_absolute_paths_and_dots_are_only_names(pack: Callable[[Files], bytes]) -> None:
    names = ["../../etc/passwd", "/etc/passwd"]
    found = read(pack(dict.fromkeys(names, IMAGE)))
    assert [os.fsdecode(member.path) for member in found] == names


@pytest.mark.parametrize("pack", KINDS)
def test_no_more_is_read_of_a_file_than_is_asked_for(pack: Callable[[Files], bytes]) -> None:
    found = read(pack({"large.jpg": bytes(50_000_000), "a.jpg": IMAGE, "most.jpg": bytes(LIMIT)}))
    assert [member.content for member in found] == [bytes(LIMIT + 1), IMAGE, bytes(LIMIT)]


@pytest.mark.parametrize("pack", KINDS)
def test_too_many_entries_are_refused(pack: Callable[[Files], bytes]) -> None:
    with pytest.raises(ArchiveTooLargeError, match="more than 2 entries"):
        read(pack({f"{n}.jpg": b"" for n in range(3)}), entries=2)


@pytest.mark.parametrize("pack", KINDS)
def test_the_size_of_all_files_together_is_limited(pack: Callable[[Files], bytes]) -> None:
    content = pack({f"{n}.txt": random.Random(n).randbytes(60_000) for n in range(3)})
    assert len(read(content, unpacked_bytes=200_000)) == 3
    with pytest.raises(ArchiveTooLargeError, match=r"which is the limit: send it in parts\."):
        read(content, unpacked_bytes=179_999)


@pytest.mark.parametrize("pack", KINDS)
def test_the_ratio_is_judged_beyond_64_mib_only(pack: Callable[[Files], bytes]) -> None:
    assert len(read(pack({"a": bytes(60 * 2**20)}))) == 1
    if pack is not tarred:
        with pytest.raises(ArchiveTooLargeError, match="more than 100 times its own size"):
            read(pack({"a": bytes(40 * 2**20), "b": bytes(40 * 2**20)}))


@pytest.mark.parametrize("pack", KINDS)
def test_a_cut_off_archive_is_an_error_that_says_so(pack: Callable[[Files], bytes]) -> None:
    content = pack({f"{n}.jpg": random.Random(n).randbytes(3000) for n in range(20)})
    for part in (2, 3, 5):
        with pytest.raises(BadArchiveError, match="damaged"):
            read(content[: len(content) // part])


@given(st.sampled_from(KINDS), st.integers(0, 2**32))
def test_damage_anywhere_is_an_error_of_ours_or_none(
    pack: Callable[[Files], bytes], seed: int
) -> None:
    chance = random.Random(seed)
    content = bytearray(pack({f"{n}.jpg": chance.randbytes(200) for n in range(5)}))
    for _ in range(chance.randint(1, 8)):
        content[chance.randrange(len(content))] = chance.randrange(256)
    try:
        found = read(bytes(content))
    except PermafrostError:
        return
    assert all(member.content is not None or member.problem for member in found)
    assert found


def test_a_nameless_file_of_a_zip_hides_no_other() -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo(""), b"nameless")
        archive.writestr("a.jpg", b"named")
    assert read(file.getvalue())[-1] == Read(b"a.jpg", b"named")


def test_one_damaged_member_of_a_zip_costs_one_row() -> None:
    content = zipped({"a.jpg": IMAGE, "b.jpg": IMAGE, "c.jpg": IMAGE})
    place = content.index(b"b.jpg") + 20
    found = read(content[:place] + b"\xff\xff\xff\xff" + content[place + 4 :])
    assert [member.content for member in found] == [IMAGE, None, IMAGE]
    assert "damaged in its archive" in found[1].problem


def test_an_encrypted_archive_is_refused_before_anything_is_read() -> None:
    content = bytearray(zipped({"a.jpg": IMAGE}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(BadArchiveError, match="is encrypted: send it without a password"):
        read(bytes(content))


@pytest.mark.parametrize(
    ("method", "name"), [(zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "LZMA")]
)
def test_methods_that_are_not_bounded_are_refused_by_name(method: int, name: str) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("a.jpg", IMAGE)
    with pytest.raises(UnsupportedMediaError, match=f"compressed with {name}.*with Deflate"):
        read(buffer.getvalue())


def test_links_and_devices_are_no_files() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo("link.jpg")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        archive.addfile(tarfile.TarInfo("a.jpg"))
    assert read(buffer.getvalue()) == [(b"a.jpg", b"", "")]
    zip_buffer = io.BytesIO()
    with zipfile.ZipFile(zip_buffer, "w") as zip_archive:
        for mode in (0o120777, 0o020666, 0o010666, 0o100666, 0):
            link = zipfile.ZipInfo(f"{mode:o}.jpg")
            link.external_attr = mode << 16
            zip_archive.writestr(link, "/etc/passwd")
    assert [found.path for found in read(zip_buffer.getvalue())] == [b"100666.jpg", b"0.jpg"]


def test_names_that_are_not_utf_8_keep_their_bytes() -> None:
    name = b"caf\xe9\xff.jpg"
    assert read(tarred({os.fsdecode(name): IMAGE}))[0].path == name
    written = zipped({"caf--.jpg": IMAGE}).replace(b"caf--.jpg", name)
    assert read(written)[0].path == name


@pytest.mark.parametrize("pack", KINDS)
def test_an_empty_archive_is_refused(pack: Callable[[Files], bytes]) -> None:
    with pytest.raises(BadArchiveError, match="is empty: there is no file in it"):
        read(pack({}))


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_what_is_compressed_must_be_a_tar(compress: Callable[[bytes], bytes]) -> None:
    with pytest.raises(UnsupportedMediaError, match="what it holds is no tar archive"):
        read(compress(b"text" * 1000))


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress, lzma.compress])
def test_streams_one_behind_the_other_are_one_archive(compress: Callable[[bytes], bytes]) -> None:
    whole = tarred({"a.jpg": IMAGE, "b.jpg": random.Random(1).randbytes(90_000)})
    pieces = [whole[n : n + 7000] for n in range(0, len(whole), 7000)]
    content = b"\0\0\0\0".join(compress(piece) for piece in pieces) + bytes(5000)
    assert [found.path for found in read(content)] == [b"a.jpg", b"b.jpg"]


@pytest.mark.parametrize("content", [b"", b"no archive", IMAGE, b"Rar!\x1a\x07\x01\x00"])
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(UnsupportedMediaError, match="not a zip, tar"):
        read(content)

"""Archives: every file is a member or a problem, nothing is unpacked that is too large."""

import io
import os
import random
import tarfile
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.pictures import jpeg
from worker.errors import InvalidRequestError, PermafrostError, UnsupportedMediaError
from worker.images.archives import Member, members

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


def read(content: bytes, *, most_members: int = 1000) -> list[Member]:
    return list(members(io.BytesIO(content), most_bytes=LIMIT, most_members=most_members))


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
def test_a_file_above_the_limit_is_a_problem_and_no_other_suffers(
    pack: Callable[[Files], bytes],
) -> None:
    found = read(pack({"bomb.jpg": bytes(50_000_000), "a.jpg": IMAGE, "most.jpg": bytes(LIMIT)}))
    assert found[0].content is None
    assert found[0].problem
    assert found[0].problem["code"] == "file_too_large"
    assert [member.content for member in found[1:]] == [IMAGE, bytes(LIMIT)]


@pytest.mark.parametrize("pack", KINDS)
def test_too_many_entries_are_refused(pack: Callable[[Files], bytes]) -> None:
    with pytest.raises(InvalidRequestError, match="more than 2 entries"):
        read(pack({f"{n}.jpg": b"" for n in range(3)}), most_members=2)


@pytest.mark.parametrize("pack", KINDS)
def test_a_cut_off_archive_is_an_error_that_says_so(pack: Callable[[Files], bytes]) -> None:
    content = pack({f"{n}.jpg": random.Random(n).randbytes(3000) for n in range(20)})
    with pytest.raises(InvalidRequestError, match="damaged"):
        read(content[: len(content) // 2])


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


def test_one_damaged_member_of_a_zip_costs_one_row() -> None:
    content = zipped({"a.jpg": IMAGE, "b.jpg": IMAGE, "c.jpg": IMAGE})
    place = content.index(b"b.jpg") + 20
    found = read(content[:place] + b"\xff\xff\xff\xff" + content[place + 4 :])
    assert [member.content for member in found] == [IMAGE, None, IMAGE]
    assert found[1].problem
    assert "damaged in its archive" in found[1].problem["message"]


def test_an_encrypted_member_of_a_zip_says_so() -> None:
    content = bytearray(zipped({"a.jpg": IMAGE}))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (member,) = read(bytes(content))
    assert member.problem == {
        "code": "unreadable",
        "message": "The file is encrypted in its archive.",
    }


def test_links_and_devices_are_no_files() -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            info = tarfile.TarInfo("link.jpg")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert read(buffer.getvalue()) == []
    zip_buffer = io.BytesIO()
    with zipfile.ZipFile(zip_buffer, "w") as zip_archive:
        link = zipfile.ZipInfo("link.jpg")
        link.external_attr = 0o120777 << 16
        zip_archive.writestr(link, "/etc/passwd")
    assert read(zip_buffer.getvalue()) == []


def test_names_that_are_not_utf_8_keep_their_bytes() -> None:
    name = b"caf\xe9\xff.jpg"
    assert read(tarred({os.fsdecode(name): IMAGE}))[0].path == name
    written = zipped({"caf--.jpg": IMAGE}).replace(b"caf--.jpg", name)
    assert read(written)[0].path == name


def test_empty_archives_have_no_members() -> None:
    assert read(zipped({})) == []
    assert read(tarred({}, "w:gz")) == []


@pytest.mark.parametrize("content", [b"", b"no archive", IMAGE, b"Rar!\x1a\x07\x01\x00"])
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(UnsupportedMediaError, match="not a zip, tar"):
        read(content)

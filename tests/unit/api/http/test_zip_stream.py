"""Zip archives that are streamed: readable by other programs, and as long as was said."""

import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from api.http.zip_stream import ZipMember, archive, archive_size, in_memory

MOMENT = datetime(2026, 11, 24, 10, 20, 31, tzinfo=UTC)


def _large() -> Iterator[bytes]:
    for number in range(1000):
        yield bytes([number % 256]) * 1000


MEMBERS = [
    ZipMember(name="a/large.bin", size=1_000_000, read=_large),
    ZipMember(name="a/empty/"),
    in_memory("a/größe.txt", "größer".encode()),
    in_memory("a/nothing", b""),
]


def test_what_is_streamed_is_a_zip_archive() -> None:
    content = b"".join(archive(MEMBERS, MOMENT))
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        assert found.testzip() is None
        assert found.namelist() == ["a/large.bin", "a/empty/", "a/größe.txt", "a/nothing"]
        assert found.read("a/large.bin") == b"".join(_large())
        assert found.read("a/größe.txt").decode() == "größer"
        assert found.getinfo("a/empty/").is_dir()
        first = found.getinfo("a/large.bin")
        assert first.date_time == (2026, 11, 24, 10, 20, 30)
        assert first.external_attr >> 16 == 0o100644


def test_its_size_is_known_before_it_is_made() -> None:
    assert archive_size(MEMBERS) == sum(len(piece) for piece in archive(MEMBERS, MOMENT))
    assert archive_size([]) == sum(len(piece) for piece in archive([], MOMENT)) == 22


def test_checksums_stand_before_their_files_for_those_who_read_from_a_stream() -> None:
    content = b"".join(archive(MEMBERS, MOMENT))
    with zipfile.ZipFile(io.BytesIO(content)) as found:
        for info in found.infolist():
            assert not info.flag_bits & 0x8
            start = info.header_offset
            assert content[start + 14 : start + 18] == info.CRC.to_bytes(4, "little")


def test_no_more_than_a_piece_is_in_memory_at_once() -> None:
    assert max(len(piece) for piece in archive(MEMBERS, MOMENT)) <= 1000


def test_a_member_that_is_shorter_than_it_says_ends_the_archive() -> None:
    member = ZipMember(name="x", size=3, read=lambda: (b"ab",))
    with pytest.raises(ValueError, match="x has 2 bytes and not 3"):
        list(archive([member], MOMENT))

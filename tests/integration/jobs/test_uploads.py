"""Files of an uploaded source on their way through Redis."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
import redis

from tests.support.work import Work, failure, filled, freeze
from worker.errors import InvalidRequestError, TooLargeError
from worker.jobs import uploads
from worker.jobs.keys import key
from worker.jobs.records import Lane
from worker.jobs.submissions import new_job_id
from worker.jobs.uploads import StoredFile, drop_files, fetch_files, store_files

MOST = 10_000


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "CHUNK_BYTES", 100)


def _files(**contents: bytes) -> Iterator[tuple[str, BinaryIO]]:
    for name, content in contents.items():
        yield name, io.BytesIO(content)


def _named(*names: str) -> Iterator[tuple[str, BinaryIO]]:
    for name in names:
        yield name, io.BytesIO(b"content")


def test_files_come_out_as_they_went_in(work: Work, client: redis.Redis, tmp_path: Path) -> None:
    contents = {
        "model.meta": b"m" * 250,
        "variables/model.index": b"",
        "variables/deep/exactly": b"e" * 200,
        "with space and ü": bytes(range(256)),
    }
    job_id = new_job_id()
    stored = store_files(client, job_id, _files(**contents), MOST)
    assert [(file.size, file.chunks) for file in stored] == [(250, 3), (0, 0), (200, 2), (256, 3)]
    work.accept(freeze(job_id=job_id, files=stored))
    paths = fetch_files(client, job_id, tmp_path)
    assert {str(p.relative_to(tmp_path)): p.read_bytes() for p in paths} == contents


def test_pieces_disappear_by_themselves_until_their_job_is_accepted(
    work: Work, client: redis.Redis
) -> None:
    job_id = new_job_id()
    stored = store_files(client, job_id, _files(a=b"x" * 150), MOST)
    pieces = [key("chunk", job_id, 0, 0), key("chunk", job_id, 0, 1)]
    assert all(0 < client.ttl(piece) <= 3600 for piece in pieces)
    work.accept(freeze(job_id=job_id, files=stored))
    assert [client.ttl(piece) for piece in pieces] == [-1, -1]


def test_files_are_deleted_when_their_job_ends(work: Work, client: redis.Redis) -> None:
    job_id = new_job_id()
    stored = store_files(client, job_id, _files(a=b"x" * 150, b=b"y"), MOST)
    work.accept(freeze(job_id=job_id, files=stored))
    claim = work.claim(lanes=[Lane.FREEZING])
    work.claims.complete(claim, failure(claim))
    assert not any(name.startswith(("chunk:", "files:")) for name in work.key_names())


def test_files_are_deleted_when_their_job_is_cancelled(work: Work, client: redis.Redis) -> None:
    job_id = new_job_id()
    stored = store_files(client, job_id, _files(a=b"x" * 150), MOST)
    work.accept(freeze(job_id=job_id, files=stored))
    work.store.cancel(job_id)
    assert not any(name.startswith(("chunk:", "files:")) for name in work.key_names())


def test_files_can_be_dropped(work: Work, client: redis.Redis) -> None:
    job_id = new_job_id()
    store_files(client, job_id, _files(a=b"x" * 150, b=b"y"), MOST)
    drop_files(client, job_id)
    assert work.key_names() == set()


def test_a_missing_piece_is_noticed(work: Work, client: redis.Redis, tmp_path: Path) -> None:
    job_id = new_job_id()
    stored = store_files(client, job_id, _files(a=b"x" * 250), MOST)
    work.accept(freeze(job_id=job_id, files=stored))
    client.delete(key("chunk", job_id, 0, 1))
    with pytest.raises(InvalidRequestError, match="send them again"):
        fetch_files(client, job_id, tmp_path)


def test_files_of_just_the_allowed_size_are_stored(client: redis.Redis) -> None:
    assert store_files(client, new_job_id(), _files(a=b"x" * 150, b=b"x" * 150), 300)


@pytest.mark.parametrize("sizes", [(301,), (150, 151), (100, 100, 100, 1)])
def test_files_that_are_too_large_together_leave_nothing(
    work: Work, client: redis.Redis, sizes: tuple[int, ...]
) -> None:
    files = {f"f{n}": b"x" * size for n, size in enumerate(sizes)}
    with pytest.raises(TooLargeError, match="sources root"):
        store_files(client, new_job_id(), _files(**files), 300)
    assert work.key_names() == set()


def test_a_full_redis_keeps_nothing_of_an_upload(work: Work, client: redis.Redis) -> None:
    class FillsRedis(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            # With the first piece there is room.
            client.config_set("maxmemory", "1" if self.tell() else "0")
            return super().read(size)

    files = [("a", FillsRedis(b"x" * 250))]
    with filled(client), pytest.raises(redis.exceptions.ResponseError, match="OOM"):
        store_files(client, new_job_id(), files, MOST)
    assert work.key_names() == set()


def test_an_upload_without_files_is_refused(client: redis.Redis) -> None:
    with pytest.raises(InvalidRequestError, match="No file was sent"):
        store_files(client, new_job_id(), [], MOST)


def test_too_many_files_are_refused(
    work: Work, client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MOST_FILES", 3)
    names = [f"file-{n}" for n in range(4)]
    assert len(store_files(client, new_job_id(), _named(*names[:3]), MOST)) == 3
    client.flushall()
    with pytest.raises(InvalidRequestError, match="More than 3 files"):
        store_files(client, new_job_id(), _named(*names), MOST)
    assert work.key_names() == set()


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", "/", "/etc/passwd", "../up", "a/../../b", "a/..", "\\\\host\\share"),
        *("..\\up", "nul\0", "line\nbreak", "tab\t", "n" * 1025, "a/" + "n" * 256, "ü" * 128),
        "half a pair \ud800",
    ],
)
def test_bad_names_are_refused(work: Work, client: redis.Redis, name: str) -> None:
    with pytest.raises(InvalidRequestError, match="not a usable file name"):
        store_files(client, new_job_id(), _named("good", name), MOST)
    assert work.key_names() == set()


@pytest.mark.parametrize(
    ("given", "kept"),
    [("a/b", "a/b"), ("a\\b", "a/b"), ("./a", "a"), ("a//b", "a/b"), (".hidden", ".hidden")],
)
def test_names_are_kept_in_one_spelling(client: redis.Redis, given: str, kept: str) -> None:
    assert store_files(client, new_job_id(), _named(given), MOST) == (
        StoredFile(name=kept, size=7, chunks=1),
    )


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (("a", "a"), "Two files"),
        (("a/b", "a\\b"), "Two files"),
        (("a", "a/b"), "as a file and as a folder"),
        (("a/b/c", "a"), "as a file and as a folder"),
    ],
)
def test_names_that_cannot_lie_side_by_side_are_refused(
    work: Work, client: redis.Redis, names: tuple[str, ...], why: str
) -> None:
    with pytest.raises(InvalidRequestError, match=why):
        store_files(client, new_job_id(), _named(*names), MOST)
    assert work.key_names() == set()

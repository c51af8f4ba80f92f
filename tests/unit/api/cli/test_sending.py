"""Sending many images: lazily, in parallel, and with what is wrong told."""

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.cli import image_upload, thread_pool
from api.cli.command_client import CommandClient
from api.client import ServerError
from api.client.images import ImageEntry, walk
from api.client.operations import many
from tests.support.batch_server import parts, problem
from worker.contract.problems import Fault


def client(answer: httpx.Response | None = None) -> CommandClient:
    """Return a client of a server that takes everything, or answers always the same."""

    def respond(request: httpx.Request) -> httpx.Response:
        request.read()
        return answer or httpx.Response(
            200, json={"added": len(list(parts(request))), "already": 0, "skipped": 0}
        )

    return CommandClient("http://permafrost.test", transport=httpx.MockTransport(respond))


def test_images_are_looked_for_only_as_they_are_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = tmp_path / "a.jpg"
    image.write_bytes(b"\xff\xd8\xff")
    monkeypatch.setattr(many, "REQUEST_IMAGES", 5)
    looked_at, may_answer = [0], threading.Semaphore(0)

    def entries() -> Iterator[ImageEntry]:
        for number in range(100_000):
            looked_at[0] = number + 1
            yield ImageEntry(str(image), f"{number}.jpg", 3)

    def respond(request: httpx.Request) -> httpx.Response:
        may_answer.acquire()
        return httpx.Response(200, json={"added": 5, "already": 0, "skipped": 0})

    slow = CommandClient("http://permafrost.test", transport=httpx.MockTransport(respond))
    sent = image_upload.send(slow, "b", entries())
    for _ in range(3):
        may_answer.release()
    for _ in range(3):
        assert next(sent).images == 5
    assert looked_at[0] <= 5 * (image_upload._AT_ONCE + 3 + 1)
    del sent  # starts no more requests
    for _ in range(image_upload._AT_ONCE):
        may_answer.release()


def test_every_image_is_sent_once_whatever_the_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(many, "REQUEST_BYTES", 1000)
    monkeypatch.setattr(many, "REQUEST_IMAGES", 7)
    for number in range(200):
        (tmp_path / f"{number:03}.jpg").write_bytes(bytes(number * 13))
    chunks = list(many.requests(walk([str(tmp_path)])))
    assert [entry.name for chunk in chunks for entry in chunk] == [
        f"{number:03}.jpg" for number in range(200)
    ]
    for chunk in chunks:
        assert len(chunk) == 1 or sum(entry.size for entry in chunk) <= 1000
        assert len(chunk) <= 7
    sent = list(image_upload.send(client(), "b", walk([str(tmp_path)])))
    assert sum(part.images for part in sent) == 200


@pytest.mark.parametrize("size", [10, 5_000_000])
def test_a_file_that_is_gone_when_it_is_to_be_sent_is_a_row(tmp_path: Path, size: int) -> None:
    gone = ImageEntry(str(tmp_path / "gone.jpg"), "gone.jpg", size)
    (sent,) = image_upload.send(client(), "b", [gone])
    (row,) = sent.problems
    assert (row.path, row.status) == ("gone.jpg", "failed")
    assert "No such file or directory" in str(row.error)


def test_a_large_image_that_a_proxy_refuses_is_a_row_and_other_refusals_stop(
    tmp_path: Path,
) -> None:
    image = tmp_path / "a.jpg"
    image.write_bytes(bytes(5_000_000))
    refusal = problem(413, "http_413", "Request Entity Too Large")
    (sent,) = image_upload.send(client(refusal), "b", walk([str(image)]))
    error = Fault(code="http_413", message="Request Entity Too Large")
    assert sent.problems[0].error == error
    with pytest.raises(ServerError, match="sealed"):
        list(
            image_upload.send(
                client(problem(409, "conflict", "It is sealed.")), "b", walk([str(image)])
            )
        )


def test_an_error_of_what_is_to_be_done_is_raised() -> None:
    def things() -> Iterator[int]:
        yield 1
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        list(thread_pool.as_done(things(), str, threads=3))


def test_work_that_fails_takes_the_place_of_its_result() -> None:
    def work(number: int) -> float:
        return 1 / number

    found = dict(thread_pool.as_done([0, 1, 2], work, threads=2))
    assert isinstance(found[0], ZeroDivisionError)
    assert (found[1], found[2]) == (1.0, 0.5)

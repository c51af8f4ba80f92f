"""The load client's requests, and which answers are right ones."""

import io
import json

import pytest

from api.http.multipart import FormFile, parts
from tests.bench.uploads import Upload, many_each, one_each

JPEG, PNG = b"\xff\xd8\xff one", b"\x89PNG\r\n\x1a\n two"


def files(upload: Upload) -> list[tuple[str, bytes]]:
    head, _, body = upload.request.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
    boundary = head.partition(b"boundary=")[2].partition(b"\r\n")[0]
    found = []
    for part in parts(io.BytesIO(body), boundary, most_bytes=10**6, whole=frozenset()):
        assert isinstance(part, FormFile)
        found.append((part.name, part.stream.read()))
    return found


def test_a_form_holds_the_photograph() -> None:
    first, second = one_each(
        [JPEG, PNG], [frozenset()] * 2, path="/p", headers="Prefer: wait=1\r\n"
    )
    assert first.request.startswith(b"POST /p HTTP/1.1\r\n")
    assert b"\r\nPrefer: wait=1\r\n" in first.request
    assert [files(first), files(second)] == [[("image", JPEG)], [("image", PNG)]]


def test_a_raw_request_is_the_photograph() -> None:
    (upload,) = one_each([PNG], [frozenset()], path="/p", form="raw")
    assert upload.request.endswith(b"\r\n\r\n" + PNG)
    assert b"Content-Type: image/png\r\n" in upload.request


def test_many_uploads_go_in_one_request_and_all_photographs_come_to_their_turn() -> None:
    photographs = [b"\xff\xd8\xff%d" % number for number in range(10)]
    uploads = many_each(photographs, 4, path="/p")
    assert {len(files(upload)) for upload in uploads} == {4}
    assert {content for upload in uploads for _, content in files(upload)} == set(photographs)


def test_many_may_be_more_than_there_are() -> None:
    uploads = many_each([JPEG], 3, path="/p")
    assert [files(upload) for upload in uploads] == [[("images", JPEG)] * 3]


def answered(*labels: str, spaces: bool = False) -> bytes:
    body = {"predictions": [{"label": label, "score": 0.5} for label in labels]}
    return json.dumps(body, separators=(", ", ": ") if spaces else (",", ":")).encode()


@pytest.mark.parametrize("spaces", [True, False])
@pytest.mark.parametrize(
    ("status", "labels", "wrong"),
    [
        (200, ["cat", "dog"], None),
        (200, ["dog", "cat"], "wrong label dog"),
        (200, ['a "cat"'], None),
        (200, [], "no predictions"),
        (503, ["cat"], "status 503"),
        (202, ["cat"], "status 202"),
    ],
)
def test_a_right_answer_names_one_of_the_labels_first(
    status: int, labels: list[str], wrong: str | None, spaces: bool
) -> None:
    right = frozenset([b"cat", b'a \\"cat\\"'])
    assert Upload(b"", 1, right).wrong(status, answered(*labels, spaces=spaces)) == wrong


@pytest.mark.parametrize(
    ("body", "wrong"),
    [
        (b'{"progress":{"total":3,"succeeded":3,"failed":0}}', None),
        (b'{"progress": {"failed": 1, "succeeded": 2}}', "2 of 3 images"),
        (b'{"status":"succeeded"}', "no progress"),
    ],
)
def test_a_right_answer_to_many_says_that_all_succeeded(body: bytes, wrong: str | None) -> None:
    assert Upload(b"", 3, frozenset()).wrong(200, body) == wrong

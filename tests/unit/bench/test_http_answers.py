"""The load client's reading of answers."""

import pytest

from tests.bench.http_answers import Answer, AnswerReader, NotHttpError

WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"


@pytest.mark.parametrize("cut", range(1, len(WHOLE)))
def test_an_answer_in_two_pieces_is_one_answer(cut: int) -> None:
    reader = AnswerReader()
    assert reader.feed(WHOLE[:cut]) is None
    assert reader.feed(WHOLE[cut:]) == Answer(200, b"hello", closes=False)


def test_one_answer_follows_the_other() -> None:
    reader = AnswerReader()
    assert reader.feed(WHOLE) == reader.feed(WHOLE)


@pytest.mark.parametrize(
    ("head", "closes"),
    [
        (b"HTTP/1.1 503 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", True),
        (b"HTTP/1.0 503 No\r\ncontent-length:0\r\n\r\n", True),
        (b"HTTP/1.1 503 No\r\nConnection: keep-alive\r\nCONTENT-LENGTH: 0\r\n\r\n", False),
    ],
)
def test_it_says_whether_the_connection_ends(head: bytes, closes: bool) -> None:
    assert AnswerReader().feed(head) == Answer(503, b"", closes=closes)


@pytest.mark.parametrize(
    "piece",
    [
        b"SSH-2.0 hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        WHOLE + b"x",
    ],
)
def test_what_cannot_be_read_is_an_error(piece: bytes) -> None:
    with pytest.raises(NotHttpError):
        AnswerReader().feed(piece)

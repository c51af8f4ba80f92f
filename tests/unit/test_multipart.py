"""Multipart bodies, however they are cut into pieces, give the parts that were sent."""

import io
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.multipart import FormField, FormFile, parts
from worker.errors import InvalidRequestError

BOUNDARY = b"--b0unDary"


class Pieces(io.RawIOBase):
    """A body that arrives in pieces of given lengths."""

    def __init__(self, content: bytes, lengths: list[int]) -> None:
        self._content = io.BytesIO(content)
        self._lengths = lengths or [len(content) or 1]
        self._turn = 0

    def read(self, size: int = -1) -> bytes:
        length = self._lengths[self._turn % len(self._lengths)]
        self._turn += 1
        return self._content.read(min(size, length))


def body(*sent: tuple[str, bytes], end: bytes = b"--\r\n", before: bytes = b"") -> bytes:
    """Write parts, each as its Content-Disposition parameters and its content."""
    text = before
    for head, content in sent:
        text += b"--%s\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (
            BOUNDARY,
            head.encode("utf-8", "surrogateescape"),
            content,
        )
    return text + b"--" + BOUNDARY + end


def read(
    content: bytes, lengths: list[int] | None = None, most_bytes: int = 1000
) -> list[FormField | tuple[str, bytes, bytes]]:
    stream = cast("BinaryIO", Pieces(content, lengths or []))
    found: list[FormField | tuple[str, bytes, bytes]] = []
    for part in parts(stream, BOUNDARY, most_bytes=most_bytes, whole=frozenset({"archive"})):
        if isinstance(part, FormFile):
            found.append((part.name, part.filename, part.stream.read()))
        else:
            found.append(part)
    return found


CONTENT = st.lists(
    st.sampled_from(
        [b"\r", b"\n", b"\r\n", b"-", b"--", BOUNDARY, b"--" + BOUNDARY[:5], b"x", b""]
    ),
    max_size=12,
).map(b"".join)


@given(
    st.lists(CONTENT.filter(lambda c: b"\r\n--" + BOUNDARY not in b"\r\n" + c), max_size=5),
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
)
def test_pieces_of_any_length_give_the_same_parts(
    contents: list[bytes], lengths: list[int]
) -> None:
    sent = [(f'name="images"; filename="{n}.jpg"', c) for n, c in enumerate(contents)]
    expected = [("images", b"%d.jpg" % n, content) for n, content in enumerate(contents)]
    assert read(body(*sent), lengths) == expected


@pytest.mark.parametrize("lengths", [[1], [7], [65536]])
def test_fields_and_files_come_in_their_order(lengths: list[int]) -> None:
    content = body(
        ('name="model"', "tïny".encode()),
        ('name="images"; filename="a.jpg"', b"1\r\n2"),
        ('name="top"', b""),
        ('name="images"; filename=""', b""),
    )
    assert read(content, lengths) == [
        FormField("model", "tïny"),
        ("images", b"a.jpg", b"1\r\n2"),
        FormField("top", ""),
        ("images", b"", b""),
    ]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ('filename="a b.jpg"', b"a b.jpg"),
        ('filename="a%22b%0D%0A.jpg"', b'a"b\r\n.jpg'),  # browsers, urllib3, httpx
        ('filename="a\\"b.jpg"', b'a"b.jpg'),  # curl
        ('filename="a\\\\b.jpg"', b"a\\b.jpg"),
        ('filename="C:\\dir\\a.jpg"', b"C:\\dir\\a.jpg"),
        ('filename="100%.jpg"', b"100%.jpg"),
        ('filename="50%41.jpg"', b"50%41.jpg"),
        ('filename="a;b=c.jpg"', b"a;b=c.jpg"),
        ("filename=a.jpg", b"a.jpg"),
        ('filename="\udcff\udcfe.jpg"', b"\xff\xfe.jpg"),
        ("filename=\"x\"; filename*=UTF-8''a%20%FF%22.jpg", b'a \xff".jpg'),
        ('filename="dir/é.jpg"', "dir/é.jpg".encode()),
    ],
)
def test_file_names_are_taken_as_clients_write_them(written: str, name: bytes) -> None:
    assert read(body((f'name="images"; {written}', b"x"))) == [("images", name, b"x")]


def test_of_a_file_above_the_limit_one_byte_more_is_kept() -> None:
    big = bytes(5000)
    head = 'filename="a"'
    assert read(body((f'name="images"; {head}', big))) == [("images", b"a", bytes(1001))]
    assert read(body((f'name="archive"; {head}', big))) == [("archive", b"a", big)]


def test_what_stands_before_and_after_is_passed_over() -> None:
    content = body(('name="a"', b"1"), before=b"preamble\r\n", end=b"--\r\nepilogue")
    assert read(content) == [FormField("a", "1")]


def test_a_form_may_be_empty() -> None:
    assert read(body()) == []


@given(st.integers(0, 150))
def test_a_body_that_is_cut_off_anywhere_is_an_error(place: int) -> None:
    content = body(('name="a"', b"1"), ('name="images"; filename="b"', b"2"), end=b"--")
    with pytest.raises(InvalidRequestError, match="cut off"):
        read(content[: min(place, len(content) - 1)])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cut off"),
        (b"nothing of the sort", "cut off"),
        (body(('name="a"', bytes(2_000_000))), "too long"),
        (b"--" + BOUNDARY + b"\r\nX: " + bytes(100_000), "too long a head"),
        (b"--" + BOUNDARY + b"\r\nX: y\r\n\r\n1\r\n--" + BOUNDARY + b"--", "no name"),
        (body(('filename="a.jpg"', b"1")), "no name"),
    ],
)
def test_damage_is_an_error_that_says_which(content: bytes, words: str) -> None:
    with pytest.raises(InvalidRequestError, match=words):
        read(content)

"""Multipart bodies, however they are cut into pieces, give the parts that were sent."""

import io
from typing import BinaryIO, cast

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.formparser import MultiPartParser

from api.http.multipart import FormField, FormFile, parts
from worker.errors import ArchiveTooLargeError, InvalidRequestError

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
    st.lists(CONTENT.filter(lambda content: b"--" + BOUNDARY not in content), max_size=5),
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


@pytest.mark.parametrize(
    "content",
    [
        # A boundary behind a bare LF or CR, or with spaces behind it, is one to werkzeug.
        body(('name="a"', b"1\n--" + BOUNDARY + b"\r\n2")),
        body(('name="a"', b"1\r--" + BOUNDARY + b"\r\n2")),
        body(('name="a"', b"1\r\n--" + BOUNDARY + b"  \r\n2")),
        body(('name="a"', b"1")).replace(b"\r\n", b"\n"),
        body(('name="a"', b"1")).replace(b"form-data", b"attachment"),
        body(('name="a"', b"1")).replace(b"Content-Disposition", b"Content Disposition"),
        body(('name="a"\r\nContent-Disposition: form-data; name="b"', b"1")),
        body(('name="a"\r\nno header', b"1")),
        body(('name="a"\r\n' + "\r\n".join(f"X-{n}: y" for n in range(50)), b"1")),
    ],
)
@pytest.mark.parametrize("lengths", [[1], [65536]])
def test_what_could_be_read_in_two_ways_is_refused(content: bytes, lengths: list[int]) -> None:
    with pytest.raises(InvalidRequestError, match="multipart request"):
        read(content, lengths)


def test_an_archive_that_is_too_large_is_refused_as_it_arrives() -> None:
    content = body(('name="archive"; filename="a.zip"', bytes(5000)))
    with pytest.raises(ArchiveTooLargeError, match="larger than"):
        list(
            parts(
                io.BytesIO(content),
                BOUNDARY,
                most_bytes=1,
                whole=frozenset({"archive"}),
                most_whole=4999,
            )
        )


def by_werkzeug(content: bytes) -> list[tuple[str, bytes | None, bytes]]:
    """Return what werkzeug reads; it raises errors of many kinds."""
    parser = MultiPartParser(stream_factory=lambda *_args, **_named: io.BytesIO())
    form, files = parser.parse(io.BytesIO(content), BOUNDARY, len(content))
    found: list[tuple[str, bytes | None, bytes]] = []
    for name, value in form.items(multi=True):
        found.append((name, None, value.encode()))
    for name, file in files.items(multi=True):
        found.append((name, (file.filename or "").encode(), file.read()))
    return sorted(found, key=repr)


def without_backslashes(
    parts: list[tuple[str, bytes | None, bytes]],
) -> list[tuple[str, bytes | None, bytes]]:
    """Return parts less what werkzeug loses of names of Windows: `C:\\a.jpg` is `C:a.jpg` to it."""
    rows = [
        (name.replace("\\", ""), file and file.replace(b"\\", b""), content)
        for name, file, content in parts
    ]
    return sorted(rows, key=repr)


PIECES = st.sampled_from(
    [
        *(b"\r\n", b"\n", b"\r", b"--", b"--" + BOUNDARY, b"\r\n--" + BOUNDARY + b"\r\n"),
        *(b"\r\n--" + BOUNDARY + b"--\r\n", b";", b'"', b"\\", b":", b" ", b"\t", b"=", b"%22"),
        *(b"Content-Disposition: form-data; ", b'name="x"', b'filename="y"', b"\0", b"z", b""),
    ]
)


@hypothesis.settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 12), PIECES), max_size=4))
def test_what_werkzeug_refuses_is_refused_and_what_both_take_is_the_same(
    changes: list[tuple[int, int, bytes]],
) -> None:
    """Forms in which some bytes were taken out and others put in."""
    content = body(
        ('name="model"', b"tiny"),
        ('name="images"; filename="a.jpg"\r\nContent-Type: image/jpeg', b"1\r\n2"),
        ('name="images"; filename="b.jpg"', b"3"),
    )
    for place, length, piece in changes:
        content = content[:place] + piece + content[place + length :]
    # To werkzeug a head may end with one of these; to us, and to the format, it does not.
    hypothesis.assume(b"\r\r" not in content and b"\n\n" not in content)
    try:
        theirs = by_werkzeug(content)
    except Exception:
        with pytest.raises(InvalidRequestError):
            read(content)
        return
    try:
        found = read(content)
    except InvalidRequestError:
        return
    ours: list[tuple[str, bytes | None, bytes]] = [
        (part.name, None, part.value.encode()) if isinstance(part, FormField) else part
        for part in found
    ]
    assert without_backslashes(ours) == without_backslashes(theirs)

"""Text files, recognised by their first bytes."""

import re


def as_text(head: bytes) -> str | None:
    """Return a file's first bytes as text in UTF-8, or None where they are none."""
    if b"\0" in head:
        return None
    try:
        return head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # no character that was cut at the end
            return None
        return head[: error.start].decode("utf-8-sig")


def protobuf_text(head: bytes) -> str | None:
    """Return the text of a protocol buffer behind blanks and comments, None where it is none."""
    text = as_text(head)
    if text is None:
        return None
    text = re.sub(r"\A(\s+|#[^\n]*\n?)+", "", text)
    return text if re.match(r"[a-z_]+\s*[:{]", text) else None


_ESCAPE = re.compile(r"\\([0-7]{1,3}|[xX][0-9a-fA-F]{1,2}|[abfnrtv\\'\"?])")
_LETTERS = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}


def unescaped(text: str) -> str:
    r"""Return a string of a text protocol buffer without its escapes: `m\303\266` is `mö`.

    What is no escape stays, as the backslashes of a path that somebody wrote by hand.
    """

    def byte(found: re.Match[str]) -> str:
        code = found[1]
        if code[0] in "01234567":
            value = int(code, 8) & 0xFF
        elif code[0] in "xX":
            value = int(code[1:], 16)
        else:
            value = _LETTERS.get(code, ord(code))
        return bytes([value]).decode("ascii", "surrogateescape")

    joined = _ESCAPE.sub(byte, text).encode("utf-8", "surrogateescape")
    return joined.decode("utf-8", "surrogateescape")

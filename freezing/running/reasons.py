"""The one line of an exception that says what went wrong."""

import re

_NOISE = re.compile(
    r"\AGraph execution error|\ADetected at node|\A\s+File |\A\d+ root error|\ANode: |\A\s*\[\["
    r"|\AHint: |\AOriginal stack trace|\A\s*\Z|\A\s+\S.* line \d+"
)
_CODE = re.compile(r"\A\s*\(\d+\)\s+[A-Z_ ]+:\s+")
_MOST = 300


def reason(error: BaseException) -> str:
    """Return the first line of the error's message that says something, without full stop.

    TensorFlow surrounds it with where in Python a node was made; a person who gave a file does not
    know that place.
    """
    text = str(error).split("Original stack trace", 1)[0]
    _, found, rest = text.rpartition("\nNode: ")
    lines = (rest if found else text).splitlines()
    for line in lines[1:] if found else lines:
        if not _NOISE.search(line):
            return _CODE.sub("", line).strip()[:_MOST].rstrip(". ")
    return type(error).__name__

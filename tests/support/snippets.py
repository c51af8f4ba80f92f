"""The Python of a page in docs/, and what the page says that it prints."""

import re
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:^```\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_CLOSE = 1.0  # two numbers of percent that mean the same
_MORE = "..."  # a line that stands for any number of lines


class Snippet(NamedTuple):
    """A block of Python and the block of its output."""

    code: str
    output: str


def snippets(page: Path) -> list[Snippet]:
    """Return the page's blocks in their order."""
    return [Snippet(*found) for found in _BLOCK.findall(page.read_text(encoding="utf-8"))]


def fits(printed: str, said: str) -> bool:
    """Return whether a page says what was printed: lines in any order, scores to a percent."""
    lines, expected = printed.splitlines(), said.splitlines()
    if _MORE in expected:
        place = expected.index(_MORE)
        behind = len(expected) - place - 1
        lines = [*lines[:place], _MORE, *lines[len(lines) - behind :]]
    return len(lines) == len(expected) and all(map(_same, sorted(lines), sorted(expected)))


def _same(line: str, expected: str) -> bool:
    numbers = zip(_NUMBER.findall(line), _NUMBER.findall(expected), strict=False)
    return _NUMBER.sub("#", line).strip() == _NUMBER.sub("#", expected).strip() and all(
        abs(float(one) - float(other)) <= _CLOSE for one, other in numbers
    )

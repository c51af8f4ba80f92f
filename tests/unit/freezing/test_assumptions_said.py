"""Every sentence that takes something for granted says what to do where that is wrong."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.system import ROOT

_ASSUMES = re.compile(
    r"(?<!Nothing of it )\bwas used\b|\b(?:was|were) (?:chosen|taken as|found beside|left at)"
    r"|\b(?:is|are) taken as\b"
    r"|\bassumed:|\bmost likely\b|^The (?:labels|variables) are those\b|\bis missing; the\b"
)
# What to type, or where to put what.
_WHAT_TO_DO = re.compile(r"\b[Ii]f [^.]*?(?:--\w|as the source|beside)|`\./permafrost |\(--\w")


def sentences(path: Path) -> Iterator[str]:
    """Yield the texts of a module that begin and end as sentences do, with `…` for what varies."""
    tree = ast.parse(path.read_text())
    parts = {
        id(value)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for value in ast.walk(node)
        if value is not node
    }
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if id(node) in parts | docstrings:
            continue
        if isinstance(node, ast.JoinedStr):
            text = "".join(
                str(one.value) if isinstance(one, ast.Constant) else "…" for one in node.values
            )
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        else:
            continue
        if re.match(r"[A-Z'…]", text) and text.endswith((".", "…")) and " " in text:
            yield text


HOUSES = ("freezing", "api", "worker/models")
FILES = [path for house in HOUSES for path in sorted((ROOT / house).rglob("*.py"))]
FOUND = [
    (path.relative_to(ROOT).as_posix(), text)
    for path in FILES
    for text in sentences(path)
    if _ASSUMES.search(text)
]


@pytest.mark.parametrize(("where", "text"), FOUND)
def test_what_is_assumed_ends_with_what_to_type(where: str, text: str) -> None:
    # What varies at the end is a sentence of its own, which the module shares between several.
    rest = (ROOT / where).read_text() if text.endswith("…") else ""
    shared = " ".join(re.findall(r'^_[A-Z]+ = "(If .*)"$', rest, re.MULTILINE))
    assert _WHAT_TO_DO.search(f"{text} {shared}"), text


def test_the_sentences_are_found() -> None:
    assert len(FOUND) > 12

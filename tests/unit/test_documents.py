"""The documents: what they link to and the files that they name exist."""

import re
from pathlib import Path

import pytest

from tests.support.system import ROOT

_SKIPPED = re.compile(r"\.venv|\.git$|data$|node_modules$")
DOCUMENTS = sorted(
    path.relative_to(ROOT)
    for path in ROOT.rglob("*.md")
    if not any(map(_SKIPPED.match, path.relative_to(ROOT).parts))
)
# Where to find things: every file and folder that they name must be there.
MAPS = ("ARCHITECTURE.md", "CONTRIBUTING.md", "docs/glossary.md")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"```.*?```|`[^`\n]*`", re.DOTALL)
_FILE = re.compile(r"`((?:[\w.-]+/)*[\w.-]+\.(?:py|lua|md|html|toml|txt|yaml|yml)|(?:[\w.-]+/)+)`")


def _links(document: Path) -> list[str]:
    text = _CODE.sub("", (ROOT / document).read_text())
    return [link for link in _LINK.findall(text) if not re.match(r"[a-z]+:|#", link)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    for link in _links(document):
        target = ROOT / document.parent / link.partition("#")[0]
        assert target.exists(), f"{document} links to {link}, which is not there"


@pytest.mark.parametrize("name", MAPS)
def test_every_file_that_a_map_names_exists(name: str) -> None:
    named = _FILE.findall((ROOT / name).read_text())
    assert named
    real = [path for path in named if "NAME" not in path and not path.startswith("data/")]
    missing = [path for path in real if not (ROOT / path).exists()]
    assert missing == [], f"{name} names what is not there"


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", ".pre-commit-config.yaml"])
def test_every_test_that_a_command_names_exists(name: str) -> None:
    named = re.findall(r"tests/[\w/]+\.py", (ROOT / name).read_text())
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []

"""docs/security.md and SECURITY.md: what they name is there."""

import re
from pathlib import Path

import pytest

from tests.support.system import ROOT
from worker.settings import Settings, variables

PAGES = (ROOT / "docs" / "security.md", ROOT / "docs" / "redis.md", ROOT / "docs" / "webhooks.md")
# Read by a launcher or a client, not a setting of a program.
OTHERS = {"PERMAFROST_API_KEY", "PERMAFROST_HOST", "PERMAFROST_WORKERS", "PERMAFROST_NO_DEMO"}


def text(page: Path) -> str:
    return page.read_text()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"tests/[a-z_/]+\.py", text(page)))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).is_file()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_setting_that_is_named_exists(page: Path) -> None:
    known = {v for name, field in Settings.model_fields.items() for v in variables(name, field)}
    named = set(re.findall(r"PERMAFROST_[A-Z0-9_]+", text(page)))
    assert named - known - OTHERS == set()


@pytest.mark.parametrize("page", [*PAGES, ROOT / "SECURITY.md"], ids=lambda page: page.name)
def test_every_page_that_is_linked_exists(page: Path) -> None:
    linked = re.findall(r"\]\((?!http|#)([^)#]+)", text(page))
    assert [link for link in linked if not (page.parent / link).is_file()] == []


def test_every_code_that_is_named_is_one_that_is_answered() -> None:
    code = "\n".join(
        path.read_text()
        for house in ("api", "worker", "freezing")
        for path in (ROOT / house).rglob("*.py")
    )
    named = set(re.findall(r"\(`([a-z_]{4,})`\)", text(PAGES[0])))
    assert named
    assert {word for word in named if f'"{word}"' not in code} == set()

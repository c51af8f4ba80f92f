"""The table of error codes: complete, and as the code has it."""

import re

import pytest

from deploy.error_table import REMEDIES, WITHOUT_CLASS, codes, error_table
from tests.support.system import ROOT
from worker.settings import Settings, variables

_WRITE = "python -m deploy.error_table > docs/errors.md"
CODES = sorted(codes())


@pytest.mark.parametrize("code", CODES)
def test_every_code_says_what_it_means_and_what_to_do(code: str) -> None:
    rows = [line for line in error_table().splitlines() if line.startswith(f"| `{code}` |")]
    assert len(rows) == 1, f"say what {code} means, in a class of errors or in WITHOUT_CLASS"
    _, _, status, meaning, remedy, _ = rows[0].split("|")
    assert re.fullmatch(r" ([45]\d\d)? ", status)
    assert meaning.strip().endswith(".")
    assert remedy.strip().endswith("."), f"say in REMEDIES what to do about {code}"


def test_no_row_is_of_a_code_that_is_gone() -> None:
    assert sorted({*REMEDIES, *WITHOUT_CLASS} - set(CODES)) == []


def test_every_setting_and_page_that_is_named_exists() -> None:
    text = " ".join(REMEDIES.values())
    known = {v for name, field in Settings.model_fields.items() for v in variables(name, field)}
    assert set(re.findall(r"PERMAFROST_\w+", text)) <= known
    for page in re.findall(r"docs/\w+\.md", text):
        assert (ROOT / page).exists(), page


def test_the_documentation_of_codes_is_up_to_date() -> None:
    written = (ROOT / "docs" / "errors.md").read_text()
    assert written == error_table(), f"write it anew: {_WRITE}"


def test_codes_are_found_however_they_are_given() -> None:
    assert {
        "bad_source",  # a class
        "not_finite",  # an argument
        "would_not_classify",  # set on an error
        "method_not_allowed",  # of an HTTP status
        "poisoned",  # in a Lua script
    } <= set(CODES)

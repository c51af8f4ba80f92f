"""Keys: built in one place, the same in Python and in Lua."""

import re
from pathlib import Path

import pytest

from worker.errors import NotFoundError
from worker.jobs import keys
from worker.jobs.keys import TEMPLATES, check_job_id, is_job_id, key
from worker.jobs.submissions import new_job_id

ROOT = Path(__file__).resolve().parents[4]
LUA = sorted((ROOT / "worker" / "jobs" / "scripts").glob("*.lua"))
CODE = [path for folder in ("worker", "api", "freezing") for path in (ROOT / folder).rglob("*.py")]


def test_every_key_is_described() -> None:
    described = re.findall(r"^\| `([a-z]+)[^`]*` \|", keys.__doc__ or "", re.MULTILINE)
    first_words = {template.split(":")[0] for template in TEMPLATES.values() if template != "%s"}
    assert set(described) == first_words


def test_every_key_but_the_brokers_has_the_prefix() -> None:
    for name, template in TEMPLATES.items():
        built = key(name, *["x"] * template.count("%s"))
        assert built.startswith("permafrost:") == (name != "tickets")


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_every_key_is_used(name: str) -> None:
    used = any(f"K.{name}(" in path.read_text() for path in LUA)
    used = used or any(f'key("{name}"' in path.read_text() for path in CODE)
    assert used


def test_scripts_build_no_keys_by_themselves() -> None:
    for path in LUA:
        text = path.read_text()
        assert set(re.findall(r"\bK\.(\w+)\(", text)) <= set(TEMPLATES), path.name
        for command in re.findall(r"redis\.call\(([^\n]+)", text):
            right = re.match(r"'(\w+', (K\.\w+\(|queue\b|belonging\b)|TIME'\))", command)
            assert right, f"{path.name}: {command}"


def test_every_script_says_what_it_moves_and_what_it_takes() -> None:
    for path in LUA:
        text = path.read_text()
        assert text.startswith("-- "), path.name
        if path.stem != "shared":
            assert "\n-- ARG " in text or "\n-- EACH " in text, path.name


def test_ids_are_known_by_their_form() -> None:
    for _ in range(100):
        assert is_job_id(new_job_id())
    for text in ("", "*", "0" * 25, "0" * 27, "I" * 26, "u" * 26, "0" * 25 + "\n", "é" * 26):
        assert not is_job_id(text)
        with pytest.raises(NotFoundError):
            check_job_id(text)


def test_an_id_that_is_much_too_long_is_not_repeated_in_full() -> None:
    with pytest.raises(NotFoundError) as caught:
        check_job_id("x" * 10_000)
    assert len(caught.value.message) < 200

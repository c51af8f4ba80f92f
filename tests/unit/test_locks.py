"""The locked requirements: complete for what pyproject.toml asks for, hashed, and of one mind."""

import re
import tomllib
from importlib.util import module_from_spec, spec_from_file_location

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.system import ROOT

_PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
_PIN = re.compile(r"^([\w.-]+)==([^\s;]+)([^\n]*(?:\n    --hash=[^\n]*)*)", re.MULTILINE)


def _lock_files() -> dict[str, str]:
    spec = spec_from_file_location("lock", ROOT / ".ci/lock.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return dict(module.LOCKS)


LOCKS = _lock_files()


def _pins(name: str) -> dict[str, tuple[str, str]]:
    found = _PIN.findall((ROOT / name).read_text())
    return {canonicalize_name(package): (version, rest) for package, version, rest in found}


def _direct(group: str) -> list[Requirement]:
    found: list[Requirement] = []
    for entry in _PROJECT["dependency-groups"][group]:
        found += (
            _direct(entry["include-group"]) if isinstance(entry, dict) else [Requirement(entry)]
        )
    return found


@pytest.mark.parametrize(("group", "name"), LOCKS.items())
def test_every_direct_dependency_is_locked(group: str, name: str) -> None:
    pins = _pins(name)
    for wanted in _direct(group):
        version, _ = pins.get(canonicalize_name(wanted.name), ("", ""))
        assert version in wanted.specifier, f"{wanted}: run .venv/bin/python .ci/lock.py"


@pytest.mark.parametrize("name", LOCKS.values())
def test_every_package_has_hashes_and_no_index_is_named(name: str) -> None:
    assert "://" not in (ROOT / name).read_text()
    for package, (_, rest) in _pins(name).items():
        assert "--hash=sha256:" in rest, package


def test_the_locks_agree() -> None:
    largest, *others = (_pins(name) for name in LOCKS.values())
    for smaller in others:
        assert smaller.items() <= largest.items()


def test_every_direct_dependency_says_why() -> None:
    text = (ROOT / "pyproject.toml").read_text().partition("[dependency-groups]")[2]
    lines = text.partition("\n\n")[0].splitlines()
    entries = [line for line in lines if line.startswith('    "')]
    assert len(entries) == len(_direct("dev"))
    assert [line for line in entries if not re.search(r",\s+# \w", line)] == []

"""The arguments of scripts: what a script's head declares, its text uses and its callers pass."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.system import ROOT
from worker.jobs.scripts import arguments, call, source

SCRIPTS = sorted(
    path.stem for path in (ROOT / "worker/jobs/scripts").glob("*.lua") if path.stem != "shared"
)
CODE = [path for house in ("worker", "api", "freezing") for path in (ROOT / house).rglob("*.py")]


def _calls() -> Iterator[tuple[Path, ast.Call, str]]:
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            named = isinstance(node.func, ast.Name) and node.func.id == "call"
            run = isinstance(node.func, ast.Attribute) and node.func.attr == "run"
            first = node.args[0]
            if (named or run) and isinstance(first, ast.Constant) and first.value in SCRIPTS:
                yield path, node, str(first.value)


def test_every_caller_passes_what_the_script_declares() -> None:
    called = set()
    for path, node, name in _calls():
        declared = arguments(name)
        assert {one.arg for one in node.keywords} == set(declared.once), f"{path}: {name}"
        each = node.args[1:]
        assert all(isinstance(one, ast.Starred) for one in each), f"{path}: {name}"
        assert bool(each) == bool(declared.each), f"{path}: {name}"
        called.add(name)
    assert called == set(SCRIPTS)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_uses_all_that_it_declares_and_nothing_else(name: str) -> None:
    text = (ROOT / f"worker/jobs/scripts/{name}.lua").read_text()
    declared = arguments(name)
    assert len({*declared.once, *declared.each}) == len(declared.once + declared.each)
    code = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    assert all(f"ARG.{one}" in code for one in declared.once)
    assert all(f"EACH.{one}" in code for one in declared.each)
    assert "ARGV[" not in code
    given = source(name)
    assert "ARG." not in given
    assert "EACH" not in given


def test_arguments_arrive_in_the_order_of_the_head() -> None:
    made = call("renew", "7", "8", worker="w", lease_ms=100)
    assert made.argv == (100, "w", "7", "8")
    assert "now_ms() + tonumber(ARGV[1])" in source("renew")
    assert "for n = 3, #ARGV do" in source("renew")


@pytest.mark.parametrize(
    "given", [{}, {"job": "x"}, {"job": "x", "result_msec": 1}, {"job": 1, "result_ms": 1, "x": 1}]
)
def test_a_call_with_other_arguments_is_refused(given: dict[str, str | int]) -> None:
    with pytest.raises(TypeError, match=r"script seal takes job, result_ms"):
        call("seal", **given)

"""The parts that measure Permafrost alone."""

from pathlib import Path

import pytest

from tests.bench.parts import PARTS, Part, arguments, run
from tests.bench.table import Table
from tests.support.system import ROOT


@pytest.mark.parametrize("part", PARTS.values(), ids=list(PARTS))
def test_every_part_is_a_benchmark(part: Part) -> None:
    assert (ROOT / f"{part.module.replace('.', '/')}.py").is_file()


def test_parts_are_told_what_concerns_them(tmp_path: Path) -> None:
    photographs = ["--photographs", str(tmp_path)]
    asking, other = Part("a", "", takes_photographs=True), Part("b", "")
    assert arguments(asking, True, tmp_path) == ["--quick", *photographs]
    assert arguments(other, True, tmp_path) == ["--quick"]
    assert arguments(asking, False, None) == []


@pytest.mark.parametrize(("code", "holds"), [(0, True), (1, False), (2, None), (-9, False)])
def test_its_exit_code_says_what_came_of_it(
    code: int, holds: bool | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    how = f"os.kill(os.getpid(), {-code})" if code < 0 else f"sys.exit({code})"
    module = tmp_path / "ends.py"
    module.write_text(f"import os, sys\n{how}\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(Part, "module", "ends")
    table = Table()
    assert run(Part("ends", "it"), table, quick=True, photographs=None)["holds"] is holds
    assert table.holds is (holds is not False)

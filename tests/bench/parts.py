"""The parts of a run that measure Permafrost alone, each a benchmark of its own."""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.table import Table
from tests.support.system import ROOT


@dataclass(frozen=True)
class Part:
    """A benchmark that prints a table and says by its exit code whether all numbers hold."""

    name: str
    title: str
    takes_photographs: bool = False
    writes_docs: bool = False

    @property
    def module(self) -> str:
        """The module that is run."""
        return f"tests.bench.bench_{self.name}"


PARTS = {
    part.name: part
    for part in (
        Part("clients", "every usual request", takes_photographs=True, writes_docs=True),
        Part("large", "large photographs", takes_photographs=True),
        Part("memory", "memory", takes_photographs=True),
        Part("start", "start, and a new version served"),
        Part("growth", "a million jobs' records in Redis", takes_photographs=True),
    )
}
_CANNOT_RUN = 2  # argparse's exit code; what is missing has been said


def run(
    part: Part, table: Table, *, quick: bool, photographs: Path | None, write_docs: bool = False
) -> dict[str, object]:
    """Run a part, whose table is printed as it grows, and add what came of it to ours."""
    print(f"\n{part.title}", flush=True)
    done = subprocess.run(
        [sys.executable, "-m", part.module, *arguments(part, quick, photographs, write_docs)],
        cwd=ROOT,
        check=False,
    )
    holds = None if done.returncode == _CANNOT_RUN else done.returncode == 0
    shown = {True: "all numbers hold", False: "not all numbers hold", None: "not measured"}[holds]
    table.add(part.title, shown, holds=holds)
    return {"module": part.module, "holds": holds}


def arguments(
    part: Part, quick: bool, photographs: Path | None, write_docs: bool = False
) -> Sequence[str]:
    """Return what a part is told."""
    told = ["--quick"] if quick else []
    if photographs is not None and part.takes_photographs:
        told += ["--photographs", str(photographs.resolve())]
    if write_docs and part.writes_docs:
        told.append("--write-docs")
    return told

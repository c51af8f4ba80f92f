"""The benchmarks: a program of its own, which installs the peers that it compares with."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def run_benchmarks(root: Path, arguments: Sequence[str]) -> int:
    """Run the benchmarks in the current folder and return their exit code."""
    path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "tests.bench", *arguments],
            check=False,
            env={**os.environ, "PYTHONPATH": path},
        )
    except KeyboardInterrupt:
        return 130
    return done.returncode

"""The tests: all of them in two runs, or what the arguments for pytest select."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_FAULTS = "tests/faults"
# Everything but the faults, in as many processes as the smallest machine has cores. A file's tests
# stay together, because they share servers.
_TOGETHER = ("-n", "2", "--dist", "loadfile", f"--ignore={_FAULTS}")
# What kills and stops processes at exact moments has the machine for itself.
_ALONE = (_FAULTS,)


def run_tests(root: Path, arguments: Sequence[str]) -> int:
    """Run pytest in `root` and return its exit code, of several runs the first that is not 0."""
    runs = [arguments] if arguments else [_TOGETHER, _ALONE]
    codes = []
    for selection in runs:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pytest", *selection], cwd=root, check=False
            )
        except KeyboardInterrupt:
            return 130
        codes.append(done.returncode)
    return next((code for code in codes if code), 0)

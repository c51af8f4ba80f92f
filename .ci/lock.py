"""Write requirements*.txt: every package with its exact version and hashes, for all platforms.

    .venv/bin/python .ci/lock.py                        what pyproject.toml newly asks for, no more
    .venv/bin/python .ci/lock.py --upgrade              everything to the newest allowed version
    .venv/bin/python .ci/lock.py --upgrade-package X    X alone

The direct dependencies stand in pyproject.toml (`[dependency-groups]`). uv works out the rest once
for Linux, macOS and Windows, x86-64 and aarch64, Python 3.11 and later. pip alone installs it.
"""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# The largest comes first: the others take its versions, so that all three agree.
LOCKS = {"dev": "requirements-dev.txt", "server": "requirements.txt", "api": "requirements-api.txt"}


def compile_group(group: str, *options: str) -> None:
    """Lock one group of pyproject.toml."""
    command = [
        *("uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
        *("--generate-hashes", "--no-emit-index-url", "--annotation-style", "line"),
        *("--custom-compile-command", ".venv/bin/python .ci/lock.py", "--no-config"),
        *("--group", f"pyproject.toml:{group}", "--output-file", LOCKS[group], *options),
    ]
    subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL
    )


def main() -> None:
    """Lock all groups."""
    largest, *others = LOCKS
    compile_group(largest, *sys.argv[1:])
    for group in others:
        shutil.copy(ROOT / LOCKS[largest], ROOT / LOCKS[group])  # the versions to prefer
        compile_group(group)


if __name__ == "__main__":
    main()

"""The peers' own environments, made at the first benchmark: `.venv-peers*` beside `.venv`."""

import subprocess
import sys
import zlib
from pathlib import Path

from tests.support.system import ROOT

_FOLDER = Path("tests/bench/peers")


def requirements(name: str) -> tuple[Path, Path]:
    """Return what an environment needs, and the exact versions of all that it brings along."""
    suffix = "" if name == "peers" else f"-{name}"
    return _FOLDER / f"requirements{suffix}.txt", _FOLDER / f"constraints{suffix}.txt"


def python_of_peers(name: str = "peers") -> Path:
    """Return the Python of a peers' environment, after making it where it is not there.

    Raises `SystemExit` where that fails; what to do about it has been printed then.
    """
    environment = ".venv-peers" if name == "peers" else f".venv-peers-{name}"
    needed = requirements(name)
    content = b"".join((ROOT / path).read_bytes() for path in needed)
    done = subprocess.run(
        [
            *(sys.executable, "-I", str(ROOT / "deploy" / "local" / "install.py"), str(ROOT)),
            *(str(needed[0]), "peers.stamp", f"{zlib.crc32(content)}", environment),
        ],
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.returncode)
    return ROOT / environment / "bin" / "python"

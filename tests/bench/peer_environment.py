"""The peers' own environment, made at the first benchmark: `.venv-peers` beside `.venv`."""

import subprocess
import sys
import zlib
from pathlib import Path

from tests.support.system import ROOT

ENVIRONMENT = ".venv-peers"
_FOLDER = Path("tests/bench/peers")
REQUIREMENTS = (_FOLDER / "requirements.txt", _FOLDER / "constraints.txt")


def python_of_peers() -> Path:
    """Return the Python of the peers' environment, after making it where it is not there.

    Raises `SystemExit` where that fails; what to do about it has been printed then.
    """
    content = b"".join((ROOT / path).read_bytes() for path in REQUIREMENTS)
    done = subprocess.run(
        [
            *(sys.executable, "-I", str(ROOT / "deploy" / "local" / "install.py"), str(ROOT)),
            *(str(REQUIREMENTS[0]), "peers.stamp", f"{zlib.crc32(content)}", ENVIRONMENT),
        ],
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.returncode)
    return ROOT / ENVIRONMENT / "bin" / "python"

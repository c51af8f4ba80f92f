"""What was measured on, and with what."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

_OURS = ("tensorflow", "onnxruntime", "celery", "redis", "flask", "gunicorn", "numpy", "pillow")
_THEIRS = ("litserve", "bentoml", "flask", "gunicorn", "celery", "tensorflow", "numpy", "pillow")
_PACKAGES = {"ray": "ray", "mlserver": "mlserver", "triton": "nvidia-pytriton"}
_ASK = "import json,sys;from importlib.metadata import version as v;"
_ASK += "print(json.dumps({n: v(n) for n in sys.argv[1:]}))"


def described(peers: Path) -> dict[str, str]:
    """Return the machine's and all versions, by what they are."""
    theirs = _asked(peers, *_THEIRS)
    return {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "system": f"{platform.system()} {platform.release()}, Python {sys.version.split()[0]}",
        "ours": ", ".join(f"{name} {version(name)}" for name in _OURS),
        "theirs": ", ".join(f"{name} {found}" for name, found in theirs.items()),
    }


def versions(pythons: Mapping[str, Path]) -> dict[str, str]:
    """Return the versions of peers that have an environment of their own, by environment."""
    return {
        name: f"{_PACKAGES[name]} {_asked(python, _PACKAGES[name])[_PACKAGES[name]]}"
        for name, python in pythons.items()
        if name in _PACKAGES
    }


def _asked(python: Path, *packages: str) -> dict[str, str]:
    """Return the versions of packages in another environment."""
    done = subprocess.run(
        [str(python), "-I", "-c", _ASK, *packages], stdout=subprocess.PIPE, check=True
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()

"""A client in Python made of the OpenAPI document by a program of others, openapi-python-client."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.system import ROOT, clean_environment

# Into a folder of its own and without what they require: openapi-python-client 0.29.1 asks for a
# typer below 0.28 and runs with ours.
_PINS = ("openapi-python-client==0.29.1", "ruamel.yaml==0.19.1")
_FOLDER = ROOT / ".venv" / f"generator-{'-'.join(pin.partition('==')[2] for pin in _PINS)}"

_NO_INDEX = ("NewConnectionError", "name resolution", "NameResolutionError", "ConnectTimeoutError")

# What the generator has no names for, in words that it knows.
CONFIGURATION = """\
post_hooks: []
content_type_overrides:
  application/jsonl: text/plain
  application/zip: application/octet-stream
  image/*: application/octet-stream
"""


def generate(document: Path, package: Path) -> str:
    """Make the package of a client for a document; return what the generator complains of."""
    _install()
    configuration = package.with_suffix(".yaml")
    configuration.write_text(CONFIGURATION)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "openapi_python_client", "generate"),
            *("--path", str(document), "--output-path", str(package)),
            *("--meta", "none", "--config", str(configuration)),
        ],
        env=clean_environment(PYTHONPATH=str(_FOLDER)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.partition("\n")[2] + done.stderr


def _install() -> None:
    if _FOLDER.is_dir():
        return
    staged = _FOLDER.with_suffix(".new")
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
            *("--no-input", "--no-deps", "--upgrade", "--target", str(staged), *_PINS),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode and any(sign in done.stderr for sign in _NO_INDEX):
        pytest.skip("no package index can be asked for the generator")
    assert done.returncode == 0, done.stderr
    staged.rename(_FOLDER)

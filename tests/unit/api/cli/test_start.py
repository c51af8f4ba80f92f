"""What starting the command line costs, and what it stays away from."""

import json
import subprocess
import sys

import pytest

from api.client import DEFAULT_SERVER
from tests.support.system import clean_environment
from worker.settings import Settings
from worker.version import VERSION


def imported_by(code: str) -> set[str]:
    """Return the modules that a fresh interpreter has imported after running `code`."""
    script = f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))"
    found = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return set(json.loads(found.stdout))


def test_importing_the_commands_imports_neither_the_server_nor_what_draws() -> None:
    modules = imported_by("import api.cli")
    forbidden = {"tensorflow", "numpy", "flask", "celery", "redis", "PIL", "pydantic"}
    assert not modules & {*forbidden, "httpx", "rich"}


def test_the_client_imports_nothing_of_the_server() -> None:
    modules = imported_by("from api.client import AsyncClient, Client")
    assert not modules & {"tensorflow", "numpy", "flask", "celery", "redis", "PIL", "pydantic"}


@pytest.mark.parametrize("program", ["api.cli", "deploy"])
def test_the_version_is_that_of_the_project(program: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", program, "--version"], capture_output=True, text=True, check=True
    )
    assert found.stdout == f"permafrost {VERSION}\n"


@pytest.mark.parametrize("program", ["api.cli", "deploy"])
def test_a_shell_completes_commands(program: str) -> None:
    asked = {"_PERMAFROST_COMPLETE": "complete_bash", "COMP_CWORD": "1"}
    found = subprocess.run(
        [sys.executable, "-m", program],
        env=clean_environment(**asked, COMP_WORDS="permafrost re"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.split() == ["results", "retry"]


@pytest.mark.parametrize(
    "command",
    ["classify", "freeze", "inspect", "jobs", "cancel", "models", "workers", "results", "retry"],
)
def test_every_command_describes_itself(command: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "api.cli", command, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "--server" in found.stdout
    assert "--json" in found.stdout


def test_the_default_server_is_that_of_the_settings() -> None:
    assert Settings().url == DEFAULT_SERVER

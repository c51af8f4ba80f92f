"""The client as people install it: pip, an empty environment, and a server to ask."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.pictures import jpeg
from tests.support.snippets import fits, snippets
from tests.support.system import ROOT, System, clean_environment

# What a client must not bring along.
SERVER_ONLY = {"tensorflow", "numpy", "flask", "redis", "celery", "kombu", "PIL"}
_NO_INDEX = ("NewConnectionError", "name resolution", "NameResolutionError", "ConnectTimeoutError")


@dataclass
class Installed:
    """An environment with nothing but the client and what it requires."""

    folder: Path

    @property
    def python(self) -> str:
        return str(self.folder / "bin" / "python")

    def run(
        self, *command: str, cwd: Path | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment."""
        return subprocess.run(
            [str(self.folder / "bin" / command[0]), *command[1:]],
            cwd=cwd or self.folder,
            env=clean_environment(**environment),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Install the client, with what it requires from the package index."""
    made = Installed(tmp_path_factory.mktemp("client") / "environment")
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(made.folder)], check=True, timeout=60
    )
    pip = [sys.executable, "-m", "pip", "--python", made.python, "install", "--no-compile"]
    done = subprocess.run(
        [*pip, str(ROOT)],
        cwd=made.folder,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    if done.returncode and any(sign in done.stderr for sign in _NO_INDEX):
        pytest.skip("no package index can be reached, from which the client is installed")
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg(200))
    return path


def test_it_brings_one_package_and_nothing_of_the_server(installed: Installed) -> None:
    (packages,) = installed.folder.glob("lib/python*/site-packages")
    names = {path.name for path in packages.iterdir()}
    assert not names & SERVER_ONLY
    assert not names & {"api", "worker", "deploy", "tests"}
    assert (packages / "permafrost" / "py.typed").is_file()


def test_every_module_of_it_can_be_imported(installed: Installed) -> None:
    code = (
        "import importlib, pkgutil, permafrost\n"
        "for found in pkgutil.walk_packages(permafrost.__path__, 'permafrost.'):\n"
        "    importlib.import_module(found.name)\n"
        "for name in permafrost.__all__: getattr(permafrost, name)\n"
    )
    done = installed.run("python", "-W", "error", "-c", code)
    assert done.returncode == 0, done.stderr


def test_a_project_with_folders_of_the_same_names_does_not_disturb_it(
    installed: Installed, tmp_path: Path
) -> None:
    for name in ("api", "worker", "deploy"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('not ours')")
    code = "from permafrost import Client; Client('http://127.0.0.1:1').close()"
    done = installed.run("python", "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_command_line_says_its_version_and_completes(installed: Installed) -> None:
    assert installed.run("permafrost", "--version").stdout.startswith("permafrost ")
    completed = installed.run(
        "permafrost",
        _PERMAFROST_COMPLETE="complete_bash",
        COMP_WORDS="permafrost cl",
        COMP_CWORD="1",
    )
    assert completed.stdout.split() == ["classify"]


def test_the_command_line_classifies(installed: Installed, system: System, photo: Path) -> None:
    arguments = ("classify", str(photo), "--model", "cats-dogs", "--json", "--server", system.url)
    done = installed.run("permafrost", *arguments)
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert (row["status"], row["model"]) == ("succeeded", "cats-dogs")


def test_what_to_type_is_typed_as_it_is_installed(installed: Installed, system: System) -> None:
    server = ("--server", system.url)
    listed = installed.run("permafrost", "jobs", "--kind", "freeze", "--json", *server)
    job_id = json.loads(listed.stdout)["jobs"][0]["id"]
    refused = installed.run("permafrost", "results", job_id, *server)
    assert refused.returncode == 2
    assert f"`permafrost jobs {job_id}`" in refused.stderr


def test_keys_of_a_data_folder_are_for_the_machine_of_the_server(installed: Installed) -> None:
    refused = installed.run("permafrost", "keys", "--data", "data")
    assert refused.returncode == 2
    assert "--server" in refused.stderr


@pytest.fixture
def place(tmp_path: Path, fixtures_folder: Path) -> Path:
    """Return a folder with what docs/client.md works on."""
    tested = fixtures_folder / "cats-dogs-200px" / "test"
    cats, dogs = (sorted((tested / name).iterdir()) for name in ("cats", "dogs"))
    shutil.copy(cats[0], tmp_path / "cat.jpg")
    for name, photograph in (("cats", cats[1]), ("dogs", dogs[1])):
        (tmp_path / "photos" / name).mkdir(parents=True)
        shutil.copy(photograph, tmp_path / "photos" / name / "1.jpg")
    whole = cats[1].read_bytes()
    (tmp_path / "photos" / "broken.jpg").write_bytes(whole[: len(whole) // 2])
    shutil.copytree(ROOT / "deploy" / "demo" / "checkpoint", tmp_path / "runs" / "cats-dogs")
    return tmp_path


def test_the_pages_python_prints_what_they_say(
    installed: Installed, system: System, place: Path
) -> None:
    (three_lines,) = snippets(ROOT / "README.md")
    found = [three_lines, *snippets(ROOT / "docs" / "client.md")]
    mark = "\n== next ==\n"
    script = place / "page.py"
    script.write_text(f"\nprint({mark!r}, end='', flush=True)\n".join(one.code for one in found))
    done = installed.run("python", "-W", "error", str(script), cwd=place, PERMAFROST_URL=system.url)
    assert done.returncode == 0, done.stderr
    printed = done.stdout.split(mark)
    assert len(printed) == len(found)
    for output, snippet in zip(printed, found, strict=True):
        assert fits(output, snippet.output), f"{snippet.code}\nprints\n{output}"

"""The launcher's first use with a real Python, in a clone that requires no packages."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.system import ROOT, clean_environment

FILES = ("requirements.txt", "requirements-dev.txt")
SLOWEST_S = 0.05  # that the launcher may add; the best of several tries, for the sake of CI


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a clone whose program prints what it was given."""
    root = tmp_path_factory.mktemp("first use") / "clone"
    (root / "deploy" / "local").mkdir(parents=True)
    for name in FILES:
        (root / name).write_text("# nothing is needed\n")
    shutil.copy(ROOT / "permafrost", root)
    shutil.copy(ROOT / "deploy/local/install.py", root / "deploy/local")
    (root / "deploy/__init__.py").touch()
    (root / "deploy/__main__.py").write_text("import sys\nprint(sys.argv[1:])\n")
    return root


def launch(root: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [str(root / "permafrost"), *arguments],
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_first_uses_at_once_install_one_after_the_other(clone: Path) -> None:
    first, second = launch(clone, "first"), launch(clone, "second")
    outcomes = [
        (process.communicate(timeout=120), process.returncode) for process in (first, second)
    ]
    assert [code for _, code in outcomes] == [0, 0], outcomes
    assert [out for (out, _), _ in outcomes] == ["['first']\n", "['second']\n"]
    said = "".join(err for (_, err), _ in outcomes)
    assert said.count("making .venv and installing") == 1
    assert said.count("another ./permafrost is installing right now") == 1


def test_every_later_use_is_silent_and_adds_little(clone: Path) -> None:
    def timed(command: list[str]) -> float:
        start = time.perf_counter()
        done = subprocess.run(
            command, env=clean_environment(), cwd=clone, capture_output=True, check=True
        )
        assert done.stderr == b""
        return time.perf_counter() - start

    through = min(timed([str(clone / "permafrost"), "x"]) for _ in range(10))
    direct = min(timed([str(clone / ".venv/bin/python"), "-m", "deploy", "x"]) for _ in range(10))
    assert through - direct < SLOWEST_S


def test_an_environment_without_its_packages_is_made_anew(clone: Path) -> None:
    shutil.rmtree(clone / ".venv" / "lib")
    (clone / ".venv" / "requirements.stamp").unlink()
    process = launch(clone, "again")
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (0, "['again']\n"), err
    assert "making .venv" in err

"""The launcher and its installer, with Pythons that only pretend."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploy.local import install
from tests.support.system import ROOT

TOOLS = ("sh", "cat", "cksum", "readlink")

# Answers as a Python of a version would to the launcher's probe, and "installs" by making an
# environment whose python tells how it was called.
PYTHON = """#!/bin/sh
case $2 in
-c) echo "{answer}" ;;
*/install.py)
    echo "installing $4" >>"$3/calls"
    {before}
    mkdir -p "$3/.venv/bin"
    printf '#!/bin/sh\\necho "path=$PYTHONPATH in=$PWD"\\nfor a; do echo "[$a]"; done\\n' \\
        >"$3/base"
    chmod +x "$3/base"
    ln -sf "$3/base" "$3/.venv/bin/python"
    echo "$6 $3/base" >"$3/.venv/$5"
    ;;
esac
"""


class Tree:
    """A clone with nothing in it but the launcher, and a PATH with nothing on it but fakes."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "clone of it"
        self.path = folder / "path"
        (self.root / "deploy" / "local").mkdir(parents=True)
        self.path.mkdir()
        self.launcher = self.root / "permafrost"
        self.launcher.write_bytes((ROOT / "permafrost").read_bytes())
        self.launcher.chmod(0o755)
        (self.root / "deploy/local/install.py").touch()
        for name in ("requirements.txt", "requirements-dev.txt"):
            (self.root / name).write_text(f"{name}\n")
        for tool in TOOLS:
            found = next(p for p in (Path("/bin", tool), Path("/usr/bin", tool)) if p.exists())
            (self.path / tool).symlink_to(found)
        for tool in ("mkdir", "chmod", "ln"):  # for the fakes, not for the launcher
            (self.path / tool).symlink_to(Path("/bin", tool))

    def python(self, name: str, answer: str = "3.12 yes", before: str = ":") -> Path:
        return self.program(name, PYTHON.replace("{answer}", answer).replace("{before}", before))

    def program(self, name: str, text: str) -> Path:
        file = self.path / name
        file.write_text(text)
        file.chmod(0o755)
        return file

    def run(
        self,
        *arguments: str,
        command: tuple[str, ...] | None = None,
        cwd: Path | None = None,
        **environment: str,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*(command or (str(self.launcher),)), *arguments],
            env={"PATH": str(self.path), **environment},
            cwd=cwd or self.root,
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def calls(self) -> list[str]:
        file = self.root / "calls"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_it_is_posix_shell() -> None:
    subprocess.run(["sh", "-n", str(ROOT / "permafrost")], check=True)
    assert (ROOT / "permafrost").read_text().startswith("#!/bin/sh\n")
    assert os.access(ROOT / "permafrost", os.X_OK)


def test_the_first_use_installs_and_passes_on(tree: Tree) -> None:
    tree.python("python3")
    done = tree.run("classify", "a cat.jpg", "--top", "5")
    assert done.returncode == 0, done.stderr
    assert tree.calls == ["installing requirements.txt"]
    assert done.stdout.splitlines() == [
        f"path={tree.root} in={tree.root}",
        *("[-P]", "[-m]", "[deploy]", "[classify]", "[a cat.jpg]", "[--top]", "[5]"),
    ]


def test_the_second_use_is_silent_and_installs_nothing(tree: Tree) -> None:
    tree.python("python3")
    tree.run()
    done = tree.run()
    assert len(tree.calls) == 1
    assert done.stderr == ""


def test_changed_requirements_are_installed(tree: Tree) -> None:
    tree.python("python3")
    tree.run()
    (tree.root / "requirements.txt").write_text("another==1\n")
    tree.run()
    assert len(tree.calls) == 2


def test_an_interrupted_installation_is_done_again(tree: Tree) -> None:
    tree.python("python3")
    tree.run()
    (tree.root / ".venv/requirements.stamp").unlink()
    tree.run()
    assert len(tree.calls) == 2


def test_a_python_that_vanished_is_replaced(tree: Tree) -> None:
    tree.python("python3")
    tree.run()
    (tree.root / "base").unlink()
    assert tree.run().returncode == 0
    assert len(tree.calls) == 2


def test_an_environment_of_another_python_is_replaced(tree: Tree) -> None:
    tree.python("python3")
    tree.run()
    (tree.root / "base").rename(tree.root / "upgraded")
    (tree.root / ".venv/bin/python").unlink()
    (tree.root / ".venv/bin/python").symlink_to(tree.root / "upgraded")
    tree.run()
    assert len(tree.calls) == 2


@pytest.mark.parametrize("command", ["test", "bench"])
def test_testing_and_measuring_install_the_development_requirements_too(
    tree: Tree, command: str
) -> None:
    tree.python("python3")
    tree.run(command, "-k", "frost")
    tree.run(command)
    tree.run("up")
    assert tree.calls == ["installing requirements.txt", "installing requirements-dev.txt"]


@pytest.mark.parametrize("command", ["test", "bench"])
def test_help_about_them_installs_nothing_for_them(tree: Tree, command: str) -> None:
    tree.python("python3")
    tree.run(command, "--help")
    assert tree.calls == ["installing requirements.txt"]


def test_completing_a_command_installs_nothing(tree: Tree) -> None:
    tree.python("python3")

    def complete() -> str:
        return tree.run(_PERMAFROST_COMPLETE="complete_bash").stdout

    assert complete() == ""
    tree.run()
    (tree.root / "requirements.txt").write_text("another==1\n")
    assert "[deploy]" in complete()
    assert tree.calls == ["installing requirements.txt"]


def test_a_failed_installation_ends_it(tree: Tree) -> None:
    tree.python("python3", before="exit 7")
    done = tree.run("up")
    assert done.returncode == 7
    assert done.stdout == ""


def test_it_works_from_elsewhere_and_through_links(tree: Tree, tmp_path: Path) -> None:
    tree.python("python3")
    (tmp_path / "one").symlink_to(tree.launcher)
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "two").symlink_to("../one")
    linked = tree.run("x", command=(str(tmp_path / "links" / "two"),), cwd=tmp_path)
    relative = tree.run("x", command=("sh", "permafrost"), cwd=tree.root)
    assert linked.stdout.startswith(f"path={tree.root} in={tmp_path}\n"), linked.stderr
    assert relative.stdout.startswith(f"path={tree.root} in={tree.root}\n"), relative.stderr


def test_a_python_on_path_that_does_not_run_is_passed_over(tree: Tree) -> None:
    tree.program(
        "python3.12", "#!/bin/sh\necho 'pyenv: python3.12: command not found' >&2\nexit 127"
    )
    tree.program("python3.11", "#!/bin/sh\nkill -9 $$")
    tree.python("python3", "3.11 yes")
    done = tree.run()
    assert done.returncode == 0
    assert done.stderr == ""


def test_the_newest_suitable_python_is_taken(tree: Tree) -> None:
    tree.python("python3.12")
    tree.python("python3.11", before="exit 7")
    tree.python("python3", before="exit 7")
    assert tree.run().returncode == 0


def test_a_python_that_is_named_is_taken(tree: Tree, tmp_path: Path) -> None:
    tree.python("python3", before="exit 7")
    own = tree.python("python3").rename(tmp_path / "my python")
    assert tree.run(PERMAFROST_PYTHON=str(own)).returncode == 0


@pytest.mark.parametrize(
    ("pythons", "named", "said"),
    [
        ({}, "", "(none at all): install Python 3.11 or 3.12"),
        ({"python3": "3.9 yes", "python": "3.13 yes"}, "", "(python3 is 3.9, python is 3.13)"),
        ({"python3": ""}, "", "(python3 does not run)"),
        ({"python3": "3.11 no"}, "", "lacks the venv module): install that module (Debian"),
        ({"python3": "3.11 no"}, "", "apt install python3.11-venv"),
        ({"python3": "3.12 yes"}, "/not/there", "PERMAFROST_PYTHON names /not/there"),
        ({"python3": "3.12 yes", "old": "3.8 yes"}, "old", "(old is 3.8)"),
    ],
)
def test_without_a_suitable_python_one_sentence_says_what_to_do(
    tree: Tree, pythons: Mapping[str, str], named: str, said: str
) -> None:
    for name, answer in pythons.items():
        tree.python(name, answer)
    done = tree.run("up", PERMAFROST_PYTHON=named)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("permafrost: no suitable Python was found (")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


# -- the installer --------------------------------------------------------------------------


@pytest.fixture
def steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Note the commands that the installer would run, and pretend that they did their work."""
    ran: list[list[str]] = []

    def run(arguments: list[str], *, held: int, failure: str) -> None:
        environment = Path(arguments[-1]) if "venv" in arguments else Path(arguments[0]).parents[1]
        assert not list(environment.glob("*.stamp")), "a stamp before the work is done"
        ran.append(arguments)
        python = tmp_path / ".venv" / "bin" / "python"
        python.parent.mkdir(parents=True, exist_ok=True)
        python.touch()

    monkeypatch.setattr(install, "run", run)
    monkeypatch.setattr(install, "works", Path.exists)
    return ran


def installed(root: Path) -> int:
    return install.main([str(root), "requirements.txt", "requirements.stamp", "12 34"])


def test_the_environment_is_made_once(tmp_path: Path, steps: list[list[str]]) -> None:
    assert installed(tmp_path) == 0
    assert installed(tmp_path) == 0
    assert [step[1:3] for step in steps] == [["-m", "venv"], ["-m", "pip"]]
    stamp = (tmp_path / ".venv/requirements.stamp").read_text()
    assert stamp == f"12 34 {tmp_path}/.venv/bin/python\n"


def test_an_environment_that_works_is_kept(tmp_path: Path, steps: list[list[str]]) -> None:
    installed(tmp_path)
    (tmp_path / ".venv/requirements.stamp").write_text("an older one\n")
    installed(tmp_path)
    assert [step[2] for step in steps] == ["venv", "pip", "pip"]


def test_another_environment_is_left_to_itself(tmp_path: Path, steps: list[list[str]]) -> None:
    installed(tmp_path)
    peers = [str(tmp_path), "peers.txt", "peers.stamp", "56", ".venv-peers"]
    (tmp_path / ".venv-peers/bin").mkdir(parents=True)
    (tmp_path / ".venv-peers/bin/python").touch()
    assert install.main(peers) == install.main(peers) == 0
    assert [step[0] for step in steps[2:]] == [f"{tmp_path}/.venv-peers/bin/python"]
    assert ["--require-hashes" in step for step in steps[1:]] == [True, False]
    stamp = (tmp_path / ".venv-peers/peers.stamp").read_text()
    assert stamp == f"56 {tmp_path}/.venv-peers/bin/python\n"


def test_a_failed_step_leaves_no_stamp(
    tmp_path: Path,
    steps: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    installed(tmp_path)
    (tmp_path / ".venv/requirements.stamp").write_text("an older one\n")

    def fail(arguments: list[str], *, held: int, failure: str) -> None:
        raise install.InstallError(failure)

    monkeypatch.setattr(install, "run", fail)
    assert installed(tmp_path) == 1
    assert not (tmp_path / ".venv/requirements.stamp").exists()
    assert "pip could not install the packages" in capsys.readouterr().err


def test_an_interruption_is_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(install, "run", interrupt)
    assert installed(tmp_path) == 130
    assert "takes it up again" in capsys.readouterr().err


@pytest.mark.parametrize("problem", [PermissionError(13, "Permission denied"), OSError(28, "Full")])
def test_what_the_disk_refuses_is_one_sentence(
    tmp_path: Path,
    steps: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    problem: OSError,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise problem

    monkeypatch.setattr(Path, "write_text", refuse)
    assert installed(tmp_path) == 1
    assert f"{problem.strerror}. Put that right" in capsys.readouterr().err


def test_a_step_that_fails_says_its_sentence(tmp_path: Path) -> None:
    held = os.open(tmp_path, os.O_RDONLY)
    try:
        with pytest.raises(install.InstallError, match=r"^so it is$"):
            install.run(["false"], held=held, failure="so it is")
        with pytest.raises(install.InstallError, match=r"so it is .*No such file"):
            install.run([str(tmp_path / "gone")], held=held, failure="so it is")
        install.run(["true"], held=held, failure="never said")
    finally:
        os.close(held)


def test_links_are_followed_as_the_launcher_does(tmp_path: Path) -> None:
    (tmp_path / "end").touch()
    (tmp_path / "middle").symlink_to("end")
    (tmp_path / "start").symlink_to(tmp_path / "middle")
    assert install.follow(f"{tmp_path}/start") == f"{tmp_path}/end"

"""What the tests of the command line have in common."""

from pathlib import Path

import pytest

from tests.support.command_line import FROZEN, JPEG, Server, answer_with, job, version
from tests.support.inspected import INSPECTED


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server(
        models={"pets": {"aliases": {"stable": 2, "canary": 3}, "versions": [version(2)]}}
    )
    answer_with(monkeypatch, made)
    return made


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with `photos/a.jpg`, `b.jpg`, `sub/c.png` and a text file."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(JPEG + b"cat")
    (folder / "b.jpg").write_bytes(JPEG + b"dog")
    (folder / "sub" / "c.png").write_bytes(JPEG + b"cat")
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a checkpoint in `model/`."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("m.meta", "m.index", "m.data-00000-of-00001"):
        (folder / name).write_bytes(name.encode())
    (folder / "checkpoint").write_text('model_checkpoint_path: "m"\n')
    return folder


@pytest.fixture
def freezing(server: Server) -> Server:
    """Let the server freeze in three steps, and inspect."""
    states = [
        job("f1", "running", kind="freeze", log=["Reading."]),
        job("f1", "running", kind="freeze", log=["Reading.", "Freezing."]),
        job("f1", "succeeded", kind="freeze", log=["Reading.", "Freezing."], result=FROZEN),
    ]
    server.jobs["f1"] = states
    server.jobs["n1"] = [job("n1", kind="inspection", model=None, result=INSPECTED)]
    return server

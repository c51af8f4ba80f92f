"""What the tests of batches from the command line share: a server and photographs."""

from pathlib import Path

import pytest

from tests.support.batch_server import BatchServer
from tests.support.command_line import JPEG, answer_with


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> BatchServer:
    made = BatchServer()
    answer_with(monkeypatch, made)
    return made


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with `photos/`: ten images, one of them in `sub/`, and a text."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for number in range(9):
        (folder / f"{number}.jpg").write_bytes(JPEG + bytes([number]))
    (folder / "sub" / "9.png").write_bytes(JPEG + b"9")
    (folder / "notes.txt").write_text("no image")
    return folder

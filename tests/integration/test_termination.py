"""Tests that are told to end leave no servers behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.support.polling import wait_until
from tests.support.redis_server import RedisServer
from tests.support.system import ROOT

_ENDLESS = """
import signal
from pathlib import Path


def test_that_never_ends(redis_server):
    note = Path(__file__).with_name("note.part")
    note.write_text(f"{redis_server.process.pid} {redis_server.folder}")
    note.rename(note.with_name("note"))
    signal.pause()
"""


def test_tests_that_are_told_to_end_stop_their_servers(
    tmp_path: Path, redis_server: RedisServer
) -> None:
    assert redis_server  # or it was skipped
    (tmp_path / "test_endless.py").write_text(_ENDLESS)
    tests = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "tests.conftest"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    note = tmp_path / "note"
    try:
        wait_until(note.exists, within_s=60, what="a server runs")
        pid, folder = note.read_text().split(maxsplit=1)
        server = psutil.Process(int(pid))
        tests.send_signal(signal.SIGTERM)
        assert tests.wait(timeout=60) == 2  # pytest's code for Ctrl-C
        assert not server.is_running()
        assert not Path(folder).exists()
    finally:
        tests.kill()
        tests.wait()

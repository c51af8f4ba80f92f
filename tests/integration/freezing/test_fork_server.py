"""The fork server of freezes: what it forks, when it ends, and what becomes of it."""

import os
import signal
from pathlib import Path

import pytest

from freezing.child_process import ChildProcess
from freezing.fork_server import ForkServer, end_fork_server, fork_server
from freezing.running.environment import environment
from tests.support.freezing import children_of
from tests.support.polling import wait_until

OTHERS_FIRST = 5  # niceness: predictions have the processor before freezes
NO_ORDER = 1  # the exit status of a child whose standard input ends without an order


def started(folder: Path) -> ChildProcess:
    child = ChildProcess(folder)
    wait_until(lambda: child.is_forked(0.1), within_s=60, what="the child runs")
    return child


def test_children_are_our_own_and_the_server_outlives_them(tmp_path: Path) -> None:
    first = started(tmp_path)
    (process,) = children_of(os.getpid())
    server = fork_server(present_variables()).pid
    assert process.ppid() == os.getpid()
    assert os.getsid(process.pid) == process.pid
    assert Path(f"/proc/{process.pid}/cwd").readlink() == Path(f"/proc/{server}/cwd").readlink()
    first.stdin.close()
    wait_until(first.has_ended, within_s=30, what="the child ends")
    assert first.kill() == NO_ORDER
    second = started(tmp_path)
    (process,) = children_of(os.getpid())
    loaded = [file.path for file in process.memory_maps() if "libtensorflow" in file.path]
    assert loaded, "it was not forked from a process that has TensorFlow loaded"
    assert second.kill() == -signal.SIGKILL
    assert children_of(os.getpid()) == []
    assert fork_server(present_variables()).pid == server
    assert os.getpriority(os.PRIO_PROCESS, server) >= OTHERS_FIRST


def test_a_server_that_was_killed_is_replaced(tmp_path: Path) -> None:
    started(tmp_path).kill()
    server = fork_server(present_variables()).pid
    os.kill(server, signal.SIGKILL)
    assert started(tmp_path).kill() == -signal.SIGKILL
    assert fork_server(present_variables()).pid != server


def test_a_child_that_is_given_up_before_it_is_forked_never_is(tmp_path: Path) -> None:
    end_fork_server()
    ChildProcess(tmp_path).kill()  # while the server loads TensorFlow
    assert started(tmp_path).kill() == -signal.SIGKILL
    assert children_of(os.getpid()) == []


def test_an_idle_server_gives_its_memory_back(tmp_path: Path) -> None:
    server = ForkServer(environment(tmp_path), idle_s=0.2)
    wait_until(lambda: not server.is_running, within_s=60, what="the idle server ends")
    with pytest.raises(OSError, match="Broken pipe"):
        server.ask(tmp_path, [0, 1, 2])
    server.end()


def present_variables() -> dict[str, str]:
    """Return the environment of the server that runs now."""
    from freezing import fork_server as module

    return module._present[0].variables

"""Signals, leftover processes, and processes that end with their parent."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local import die_with_parent, orphans
from deploy.local.configuration import MARK
from deploy.local.layout import Layout
from deploy.local.signals import StopRequest, StopSignals
from tests.support.polling import wait_until

RUN = "import subprocess, sys; subprocess.run(sys.argv[1:])"


def test_the_first_signal_asks_and_the_second_insists() -> None:
    with StopSignals() as stop:
        stop.wait(0)
        os.kill(os.getpid(), 15)
        with pytest.raises(StopRequest):
            stop.wait(60)
        assert not stop.insisting
        os.kill(os.getpid(), 2)
        assert stop.insisting


def test_leftovers_are_those_of_the_same_data_folder(layout: Layout) -> None:
    environ = {**os.environ, MARK: str(layout.data)}
    ours = subprocess.Popen(["sleep", "60"], env=environ)
    other = subprocess.Popen(["sleep", "60"], env={**environ, MARK: "/another"})
    try:
        assert [process.pid for process in orphans.find(layout)] == [ours.pid]
        orphans.end(layout, lambda: True)
        assert orphans.find(layout) == []
        assert other.poll() is None
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's death")
def test_a_service_ends_with_its_parent(tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    child = f"trap 'touch {ended}; exit' TERM; touch {ended}.ready; while :; do sleep 0.05; done"
    program = die_with_parent.__file__
    parent = subprocess.Popen(
        [sys.executable, "-c", RUN, sys.executable, "-I", program, "sh", "-c", child]
    )
    wait_until(Path(f"{ended}.ready").exists, within_s=20, what="the child runs")
    parent.kill()
    parent.wait()
    wait_until(ended.exists, within_s=20, what="the child was told")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's death")
def test_a_process_whose_parent_is_gone_already_does_not_start() -> None:
    done = subprocess.run(
        [sys.executable, "-I", die_with_parent.__file__, "echo", "started"],
        env={**os.environ, die_with_parent.PARENT: "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""

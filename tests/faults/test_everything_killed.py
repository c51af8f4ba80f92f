"""Every process is killed at once while uploads run; nothing that was accepted is lost."""

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.support.checker import Checker
from tests.support.folders import fill
from tests.support.system import System
from tests.support.tiny_model import publish

IMAGES = 2000
AGAIN_S = 60.0  # until all is done after a new start, beside the work itself


@pytest.mark.timeout(400)
def test_each_accepted_upload_ends_with_exactly_one_result(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    data = tmp_path / "data"
    publish(data / "models")
    answers = fill(data / "folders" / "many", IMAGES)
    system = System(data, options=["--no-demo", "--workers", "2"])
    system.start()
    checker = Checker(system.url)
    try:
        started = time.monotonic()
        job_id = checker.submit_folder(data / "folders" / "many", answers)
        with checker.clients(4):
            checker.reach(job_id, IMAGES // 2)
            half_s = time.monotonic() - started
            begin = time.monotonic() - 1.0  # Redis writes to the disk every second
            system.kill_all()
            killed = time.monotonic()
            system.start()
        checker.settle(within_s=240)
        took_s = time.monotonic() - killed
        lost = checker.judge(may_be_lost=[(begin, killed)])
        record_property("accepted", len(checker.accepted) + IMAGES)
        record_property("half of it took", f"{half_s:.1f} s")
        record_property("start and the rest took", f"{took_s:.1f} s")
        record_property("of the last second lost", lost)
        assert took_s <= AGAIN_S + 2 * half_s
        workers = httpx.get(f"{system.url}/v1/workers", timeout=30).json()["workers"]
        loads = {g["loads"] for row in workers for g in row["graphs"] if row["state"] == "ready"}
        assert loads == {1}
        assert system.stop() == 0
    finally:
        if system.processes():
            system.kill_all()

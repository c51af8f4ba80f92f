"""Batches in the list of jobs, and followed to their end."""

import json
import re
from pathlib import Path
from typing import Any

import httpx

from tests.support.batch_commands import B0, interrupt_at
from tests.support.batch_server import BatchServer
from tests.support.command_line import run


def running(server: BatchServer, photos: Path, **progress: Any) -> None:
    """Leave a batch on the server that runs."""
    interrupt_at(server, "GET", f"/jobs/{B0}")
    assert run("classify", "photos").exit_code == 130
    batch = server.the_batch()
    job = {**server.job(batch), "status": "running", "result": {"labels": {"cat": 5, "dog": 1}}}
    counts = {"total": 10, "succeeded": 6, "failed": 1, "skipped": 2, "sealed": True}
    job["progress"] = {**counts, "percent": 69.99, "rate": 1234.5, "remaining_s": 200.4, **progress}

    def answer(request: httpx.Request) -> httpx.Response | None:
        if request.url.path.endswith("/jobs"):
            return httpx.Response(200, json={"jobs": [job], "next": None})
        if request.url.path.endswith(f"/jobs/{B0}") and "wait" not in request.url.params:
            return httpx.Response(200, json=job)
        return None

    server.answer_before = answer


def test_a_running_batch_is_listed_with_its_share_and_the_time_left(
    server: BatchServer, photos: Path
) -> None:
    running(server, photos)
    found = run("jobs")
    row = r"^b0z+\s+batch\s+running\s+pets@2\s+7/10 \(69 %\), 1 failed\s.*3 min 20 s left"
    assert re.search(row, found.stdout, re.MULTILINE)


def test_a_running_batch_is_shown_with_all_that_is_known(server: BatchServer, photos: Path) -> None:
    running(server, photos)
    found = run("jobs", B0)
    assert found.exit_code == 0
    for words in (
        r"progress\s+7/10 \(69 %\), 1 failed",
        r"passed over\s+2 other files",
        r"rate\s+1,234\.5 images per second",
        r"time left\s+3 min 20 s",
        r"results\s+http://127\.0\.0\.1:8000/v1/batches/b0z+/results\?format=csv",
        r"cat\s+5\s+83\.3%",
        r"dog\s+1\s+16\.7%",
    ):
        assert re.search(words, found.stdout), words
    running(server, photos, sealed=False, remaining_s=None, rate=None, skipped=0)
    found = run("jobs", B0)
    assert "may be added" in found.stdout
    for words in ("time left", "rate", "passed over"):
        assert words not in found.stdout


def test_waiting_for_a_batch_follows_it_to_its_end(server: BatchServer, photos: Path) -> None:
    running(server, photos)
    found = run("jobs", B0, "--wait")
    assert found.exit_code == 0
    assert re.search(r"status\s+succeeded", found.stdout)
    found = run("jobs", B0, "--wait", "--json")
    assert json.loads(found.stdout)["status"] == "succeeded"

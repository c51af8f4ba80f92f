"""Every process is killed at once while uploads run; nothing that was accepted is lost."""

import io
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
from PIL import Image

from tests.support.polling import wait_until
from tests.support.submitting import ENDED
from tests.support.system import System

UPLOADS = 200


def photograph(seed: int) -> bytes:
    """Return a JPEG that no other seed gives."""
    buffer = io.BytesIO()
    colour = tuple(random.Random(seed).randrange(256) for _ in range(3))
    Image.new("RGB", (320, 240), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def test_each_accepted_upload_ends_with_exactly_one_result(tmp_path: Path) -> None:
    system = System(tmp_path / "data")
    system.start()
    accepted: list[str] = []
    killed = threading.Event()

    def upload(number: int) -> None:
        if killed.is_set():
            return
        try:
            answer = httpx.post(
                f"{system.url}/v1/predictions", content=photograph(number), timeout=10
            )
        except httpx.TransportError:
            return  # not answered, so not accepted as far as the client knows
        if answer.status_code == 202:
            accepted.append(answer.headers["Location"])

    try:
        with ThreadPoolExecutor(8) as pool:
            sent = [pool.submit(upload, number) for number in range(UPLOADS)]
            wait_until(lambda: len(accepted) >= UPLOADS // 2, within_s=60, what="half is accepted")
            system.kill_all()
            killed.set()
            for future in sent:
                future.result()
        assert len(accepted) >= UPLOADS // 2

        system.start()
        with httpx.Client(base_url=system.url, timeout=30) as client:
            jobs = [ended(client, location) for location in accepted]
            workers = client.get("/v1/workers").json()["workers"]
        assert {job["status"] for job in jobs} == {"succeeded"}
        assert all(len(job["result"]["predictions"]) == 2 for job in jobs)
        assert len({job["id"] for job in jobs}) == len(accepted)
        loads = {g["loads"] for row in workers for g in row["graphs"] if row["state"] == "ready"}
        assert loads == {1}
        assert system.stop() == 0
    finally:
        if system.processes():
            system.kill_all()


def ended(client: httpx.Client, location: str) -> dict[str, Any]:
    """Return the job once it has ended."""

    def look() -> dict[str, Any] | None:
        answer = client.get(location)
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        return job if job["status"] in ENDED else None

    job = wait_until(look, within_s=60, what=f"{location} ends")
    assert job is not None
    return job

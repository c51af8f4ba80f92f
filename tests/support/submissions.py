"""Submissions of whatever files, over HTTP to a running system, and what became of each."""

import json
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, NamedTuple, Self

import httpx
import psutil

from tests.support.polling import wait_until

ENDED = frozenset({"succeeded", "failed", "cancelled"})
# What may become of an image: docs/batches.md and docs/images.md list the codes.
CODES = frozenset(
    {
        *("succeeded", "truncated", "unreadable", "not_an_image", "unsupported_format"),
        *("unsupported_media", "too_many_pixels", "too_costly", "too_large", "file_too_large"),
        *("invalid_request", "timed_out", "skipped"),
    }
)
# How a batch calls what a single request calls otherwise.
IN_A_BATCH = {
    "unsupported_media": "not_an_image",
    "invalid_request": "not_an_image",  # an empty body
    "too_large": "file_too_large",
}
MIB = 2**20


class Answer(NamedTuple):
    """What became of one file."""

    name: str
    status: int  # of the response
    code: str  # "succeeded", or of the error
    sentence: str  # empty where it succeeded
    seconds: float


@dataclass
class Submitter:
    """Sends files to the system at `url`, as predictions or in batches of the model `model`."""

    url: str
    model: str
    client: httpx.Client = field(init=False)

    def __enter__(self) -> Self:
        self.client = httpx.Client(base_url=self.url, timeout=120)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.client.close()

    def predict(self, name: str, content: bytes) -> Answer:
        """Send one file as the body of a prediction and wait for what becomes of it."""
        started = time.monotonic()
        response = self.client.post(
            "/v1/predictions",
            params={"model": self.model},
            content=content,
            headers={"Prefer": "wait=60"},
        )
        return self._of_one(response, name, started)

    def result(self, content: bytes) -> Any:
        """Return what a good picture is answered."""
        response = self.client.post(
            "/v1/predictions", params={"model": self.model}, content=content
        )
        return self._ended(response.json())["result"]

    def batch(self, files: Mapping[str, bytes]) -> tuple[Answer, ...]:
        """Send files in one batch, each as an image, and return what became of those with a row."""
        started = time.monotonic()
        parts = [("images", (name, content, "image/jpeg")) for name, content in files.items()]
        response = self.client.post("/v1/batches", data={"model": self.model}, files=parts)
        return self._of_batch(response, "batch", started)

    def archive(self, name: str, content: bytes) -> tuple[Answer, ...]:
        """Send one archive as a batch; return its refusal, or what became of what is in it."""
        started = time.monotonic()
        response = self.client.post(
            "/v1/batches", data={"model": self.model}, files={"archive": (name, content)}
        )
        return self._of_batch(response, name, started)

    def inspect(self, name: str, content: bytes) -> Answer:
        """Send one archive as a model to inspect, and wait for what becomes of it."""
        started = time.monotonic()
        response = self.client.post(
            "/v1/inspections",
            files={"archive": (name, content)},
            headers={"Prefer": "wait=60"},
        )
        return self._of_one(response, name, started)

    def workers(self) -> set[int]:
        """Return the process ids of the workers that are ready."""
        rows = self.client.get("/v1/workers").json()["workers"]
        return {row["pid"] for row in rows if row["state"] == "ready"}

    def _of_one(self, response: httpx.Response, name: str, started: float) -> Answer:
        found = response.json() if "json" in response.headers.get("Content-Type", "") else {}
        if response.status_code in (200, 202):
            job = self._ended(found)
            error = job["error"] or {"code": job["status"], "message": ""}
        else:
            error = {"code": found.get("code", "none"), "message": found.get("detail", "")}
        took = time.monotonic() - started
        return Answer(name, response.status_code, error["code"], error["message"], took)

    def _of_batch(self, response: httpx.Response, name: str, started: float) -> tuple[Answer, ...]:
        status = response.status_code
        if status not in (200, 202):
            problem = response.json()
            took = time.monotonic() - started
            return (Answer(name, status, problem["code"], problem["detail"], took),)
        job = self._ended(response.json())
        took = time.monotonic() - started
        if job["error"]:
            return (Answer(name, status, job["error"]["code"], job["error"]["message"], took),)
        text = self.client.get(f"/v1/batches/{job['id']}/results", params={"format": "jsonl"}).text
        return tuple(self._rows(text.splitlines(), status, took)) or (
            Answer(name, status, "skipped", "", took),
        )

    def _rows(self, lines: Iterable[str], status: int, took: float) -> Iterator[Answer]:
        for line in lines:
            row = json.loads(line)
            error = row["error"] or {"code": row["status"], "message": ""}
            yield Answer(row["path"], status, error["code"], error["message"], took)

    def _ended(self, job: dict[str, Any]) -> dict[str, Any]:
        def look() -> Any:
            now: dict[str, Any] = self.client.get(f"/v1/jobs/{job['id']}?wait=20").json()
            return now if now["status"] in ENDED else None

        if job["status"] in ENDED:
            return job
        ended: dict[str, Any] = wait_until(look, within_s=180, what="its end")
        return ended


@dataclass
class Memory:
    """What processes have taken at most since it began, beyond what they had, in MiB."""

    most: float = 0.0


@contextmanager
def memory_watched(pids: Iterable[int]) -> Iterator[Memory]:
    """Look at the resident memory of processes ten times a second meanwhile."""
    watched = [psutil.Process(pid) for pid in pids]
    before = {one.pid: one.memory_info().rss for one in watched}
    found, stop = Memory(), threading.Event()

    def look() -> None:
        while not stop.wait(0.1):
            for one in watched:
                try:
                    more = (one.memory_info().rss - before[one.pid]) / MIB
                except psutil.Error:
                    continue
                found.most = max(found.most, more)

    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    try:
        yield found
    finally:
        stop.set()
        watcher.join()

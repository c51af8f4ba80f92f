"""A made-up server that knows batches, for tests of the command line without processes."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from werkzeug.sansio.multipart import Data, Epilogue, File, MultipartDecoder, NeedData

from worker.images.folders import find_folder, walk

Json = dict[str, Any]


def ulid(name: str) -> str:
    """Return the id of what tests call by a short name."""
    return name.ljust(26, "z")


def named(path: str) -> list[str]:
    """Return the parts of a request's path, with ids as tests call them."""
    return [part.rstrip("z") if len(part) == 26 else part for part in path.split("/")[2:]]


def summary(model: Json) -> Json:
    """Return a model as the list of models shows it."""
    names = ("version", "sha256", "bytes", "runtime", "created_at", "state", "set_aside")
    versions = [
        {
            **{name: version[name] for name in names},
            "classifies": version["preprocessing"] is not None,
            "labels": version["labels"] and len(version["labels"]),
            "basis": version["basis"]["kind"] if version.get("basis") else None,
        }
        for version in model["versions"]
    ]
    return {**model, "versions": versions}


MODEL = {"name": "pets", "version": 2, "sha256": "ab" * 32}


@dataclass
class Batch:
    """What the server holds of one batch."""

    id: str
    options: Json
    status: str = "queued"
    sealed: bool = False
    images: dict[str, bytes] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    skipped: int = 0


class BatchServer:
    """Answers as the API does. Images whose bytes end with `bad` fail.

    A test changes what it knows, or puts an `answer_before` in front of it.
    """

    def __init__(self, folders: Path | None = None) -> None:
        self.folders = folders
        self.batches: dict[str, Batch] = {}
        self.keys: dict[str, str] = {}
        self.expired: set[str] = set()
        self.requests: list[httpx.Request] = []
        self.sent: list[list[str]] = []  # the paths of each request that added images
        self.answer_before: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
        self._lock = threading.Lock()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        """Answer one request, as an httpx transport."""
        request.read()
        with self._lock:
            self.requests.append(request)
            return self.answer_before(request) or self._answer(request)

    def the_batch(self) -> Batch:
        """Return the only batch."""
        (batch,) = self.batches.values()
        return batch

    def end(self, batch: Batch) -> None:
        """Classify everything that a batch has."""
        batch.failed = {path for path, image in batch.images.items() if image.endswith(b"bad")}
        batch.status = "succeeded"

    def _answer(self, request: httpx.Request) -> httpx.Response:
        pets = {"name": "pets", "aliases": {"stable": 2}, "versions": [], "damaged": []}
        match request.method, named(request.url.path):
            case "GET", ["models", "pets"]:
                return httpx.Response(200, json=pets)
            case "GET", ["models"]:
                return httpx.Response(200, json={"models": [pets]})
            case "POST", ["batches"]:
                return self._begin(request)
            case _, [_, job_id, *_] if job_id in self.expired:
                return problem(410, "expired", "The batch has expired.")
            case method, [_, job_id, *rest] if job_id in self.batches:
                return self._of_batch(method, rest, self.batches[job_id], request)
        return problem(404, "not_found", "There is no such thing.")

    def _begin(self, request: httpx.Request) -> httpx.Response:
        options = json.loads(request.content)
        key = request.headers["idempotency-key"]
        known = self.keys.get(key)
        if known in self.expired:
            return problem(410, "expired", "The batch has expired.")
        if known is None:
            batch = Batch(id=f"b{len(self.batches)}", options=options)
            if "folder" in options:
                if self.folders is None:
                    return problem(404, "not_found", "There is no folder of that name.")
                folder = find_folder(options["folder"], [self.folders])
                batch.images = {
                    path.decode(): folder.read(path, most_bytes=2**20) for path in walk(folder)
                }
                batch.sealed = True
            known = self.keys[key] = batch.id
            self.batches[known] = batch
        return httpx.Response(202, json=self.job(self.batches[known]))

    def _of_batch(
        self, method: str, rest: list[str], batch: Batch, request: httpx.Request
    ) -> httpx.Response:
        match method, rest:
            case "GET", []:
                if batch.sealed and batch.status in ("queued", "running"):
                    self.end(batch)
            case "DELETE", []:
                batch.status = "cancelled"
            case "POST", ["images"]:
                return self._add(batch, request)
            case "GET", ["images"]:
                return lines(batch.images)
            case "POST", ["seal"]:
                batch.sealed = True
            case "POST", ["retry"]:
                batch.status = "running"
                batch.failed.clear()
            case "GET", ["results"]:
                return lines(self._rows(batch))
        return httpx.Response(200, json=self.job(batch))

    def _add(self, batch: Batch, request: httpx.Request) -> httpx.Response:
        if batch.sealed or batch.status in ("succeeded", "cancelled"):
            return problem(409, "conflict", "The batch takes no more images.")
        found = dict(parts(request))
        self.sent.append(list(found))
        new = {path: image for path, image in found.items() if path not in batch.images}
        batch.images.update(new)
        batch.status = "running"
        counts = {"added": len(new), "already": len(found) - len(new), "skipped": 0}
        return httpx.Response(200, json=counts)

    def _rows(self, batch: Batch) -> Iterator[Json]:
        error = {"code": "truncated", "message": "The image is cut off."}
        for path in batch.images:
            failed = path in batch.failed
            predictions = [{"label": "cat", "score": 0.97}, {"label": "dog", "score": 0.03}]
            yield {
                "path": path,
                "status": "failed" if failed else "succeeded",
                "label": None if failed else "cat",
                "score": None if failed else 0.97,
                "predictions": None if failed else predictions,
                "error": error if failed else None,
                "model": MODEL["name"],
                "version": MODEL["version"],
                "sha256": MODEL["sha256"],
            }

    def job(self, batch: Batch) -> Json:
        """Return a batch's job as the contract shows it."""
        ended = batch.status == "succeeded"
        done = len(batch.images) if ended else 0
        self_url = f"/v1/jobs/{ulid(batch.id)}"
        return {
            "id": ulid(batch.id),
            "kind": "batch",
            "status": batch.status,
            "model": MODEL,
            "created_at": "2026-11-23T06:00:00.000Z",
            "started_at": "2026-11-23T06:00:01.000Z",
            "finished_at": "2026-11-23T06:00:03.500Z" if ended else None,
            "expires_at": None,
            "progress": {
                "total": len(batch.images),
                "succeeded": done - len(batch.failed),
                "failed": len(batch.failed),
                "skipped": batch.skipped,
                "sealed": batch.sealed,
                "percent": 100.0 if ended else 0.0,
                "rate": 10.0,
                "remaining_s": 0.0 if ended else None,
            },
            "result": {"labels": {"cat": done - len(batch.failed)} if done else {}},
            "error": None,
            "attempts": 1,
            "links": {
                "self": self_url,
                "results": f"/v1/batches/{ulid(batch.id)}/results",
                "events": f"{self_url}/events",
            },
        }


def parts(request: httpx.Request) -> Iterator[tuple[str, bytes]]:
    """Give the names and bytes of a form's files, read as the API's framework reads them."""
    boundary = request.headers["content-type"].partition("boundary=")[2]
    decoder = MultipartDecoder(boundary.encode())
    decoder.receive_data(request.content)
    decoder.receive_data(None)
    name, content = "", b""
    while not isinstance(event := decoder.next_event(), Epilogue | NeedData):
        if isinstance(event, File):
            assert event.name == "images"
            name, content = event.filename, b""
        elif isinstance(event, Data):
            content += event.data
            if not event.more_data:
                yield name, content


def lines(documents: Any) -> httpx.Response:
    """Answer with JSON lines."""
    text = "".join(json.dumps(document, ensure_ascii=False) + "\n" for document in documents)
    return httpx.Response(200, content=text.encode(), headers={"content-type": "application/jsonl"})


def problem(status: int, code: str, detail: str, **headers: str) -> httpx.Response:
    """Answer with a problem."""
    return httpx.Response(
        status,
        content=json.dumps({"status": status, "code": code, "detail": detail}),
        headers={"content-type": "application/problem+json", **headers},
    )

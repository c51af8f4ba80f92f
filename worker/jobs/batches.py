"""Batches: adding images, sealing, retrying, and reading results in a stable order."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import redis

from worker.errors import ConflictError, OverloadedError
from worker.jobs.keys import key
from worker.jobs.scripts import Scripts
from worker.jobs.store import TICKET_MS
from worker.settings import Settings

_PAGE = 500  # results read at once
_RETRY_PAGE = 1000


@dataclass(frozen=True, kw_only=True)
class NewImage:
    """An image for a batch."""

    path: bytes  # relative, as the client or the file system spells it
    upload: bytes = b""  # empty where the worker reads it from the batch's folder
    error: dict[str, str] | None = None  # what it ends with at once, where it cannot be accepted


class Added(NamedTuple):
    """What became of images that were to be added."""

    added: int
    already: int  # left out because the batch has their paths
    ticket_needed: bool


class Row(NamedTuple):
    """One finished item of a batch."""

    number: int
    path: bytes
    result: Any  # [[label, score], ...], best first, or None
    error: dict[str, str] | None


class ClaimLostError(Exception):
    """The listing of a folder goes on elsewhere, because its claim was taken back."""


class Batches:
    """The items of batches in Redis."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self._client = client
        self._settings = settings
        self._scripts = Scripts(client)

    def add(
        self,
        job_id: str,
        images: Sequence[NewImage],
        *,
        rename: bool = False,
        skipped: int = 0,
        claim: int | None = None,
    ) -> Added:
        """Add images in one atomic step.

        A path that the batch has is left out, or with `rename` given a number. `skipped` counts
        files that are no images. `claim` is that of the worker that lists a folder. Raises
        `ConflictError` where the batch is sealed or has ended, `OverloadedError` where too much
        waits and `ClaimLostError`.
        """
        args: list[str | bytes] = []
        for image in images:
            error = json.dumps(image.error) if image.error else ""
            args += [image.path, image.upload, error]
        answer = self._scripts.run(
            "append",
            job_id,
            "" if claim is None else claim,
            TICKET_MS,
            "rename" if rename else "skip",
            skipped,
            self._settings.max_batch_queue,
            self._settings.result_ttl_s * 1000,
            *args,
        )
        if answer[0] == -1:
            raise ConflictError(f"Batch {job_id} takes no more images: it is sealed or has ended.")
        if answer[0] == -2:
            raise ClaimLostError
        if answer[0] == -3:
            raise OverloadedError("Too many images wait for this model: add the next ones later.")
        return Added(answer[0], answer[1], answer[2] == 1)

    def seal(self, job_id: str) -> None:
        """Take no more images: the batch ends with its last item."""
        self._scripts.run("seal", job_id, self._settings.result_ttl_s * 1000)

    def retry(self, job_id: str) -> tuple[int, bool]:
        """Queue the failed items again; return how many, and whether a ticket has to be sent."""
        queued, ticket = 0, False
        bound = self._client.scard(key("failures", job_id))
        while queued < bound:
            count, needed = self._scripts.run("retry", job_id, _RETRY_PAGE, TICKET_MS)
            if count == 0:
                break
            queued, ticket = queued + count, ticket or needed == 1
        return queued, ticket

    def labels(self, job_id: str) -> dict[str, int]:
        """Return how often each label came first."""
        counts = self._client.hgetall(key("labels", job_id))
        pairs = [(label.decode(), int(count)) for label, count in counts.items()]
        return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))

    def rows(self, job_id: str, total: int, *, wanted: str | None = None) -> Iterator[Row]:
        """Give finished items in the order of their numbers, a page at a time.

        `wanted` is `succeeded`, `failed` or None for both.
        """
        for start in range(1, total + 1, _PAGE):
            numbers = list(range(start, min(start + _PAGE, total + 1)))
            with self._client.pipeline(transaction=False) as pipe:
                pipe.hmget(key("items", job_id), numbers)
                pipe.hmget(key("results", job_id), numbers)
                paths, results = pipe.execute()
            for number, path, raw in zip(numbers, paths, results, strict=True):
                if raw is None or path is None:
                    continue
                failed = raw[:1] == b"e"
                if wanted is not None and failed != (wanted == "failed"):
                    continue
                value = json.loads(raw[1:])
                yield Row(number, path, None if failed else value, value if failed else None)

    def paths(self, job_id: str, total: int) -> Iterator[bytes]:
        """Give the paths of all items in the order of their numbers."""
        for start in range(1, total + 1, _PAGE):
            numbers = range(start, min(start + _PAGE, total + 1))
            yield from filter(None, self._client.hmget(key("items", job_id), list(numbers)))

    def last_path(self, job_id: str) -> bytes | None:
        """Return the path of the item that was added last, or None where there is none."""
        total = int(self._client.hget(key("job", job_id), "total") or 0)
        path: bytes | None = self._client.hget(key("items", job_id), total)
        return path

    def seen(self, job_id: str, digests: Sequence[bytes]) -> list[Any]:
        """Return for each digest the result of an image with these bytes, or None."""
        numbers = self._client.hmget(key("seen", job_id), digests)
        found = [number for number in numbers if number is not None]
        if not found:
            return [None] * len(digests)
        raws = dict(zip(found, self._client.hmget(key("results", job_id), found), strict=True))
        return [
            json.loads(raws[number][1:])
            if number is not None and raws[number] and raws[number][:1] == b"r"
            else None
            for number in numbers
        ]

"""Batches: adding images, sealing, retrying, and reading results in a stable order."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import redis

from worker.errors import ConflictError, InvalidRequestError, OverloadedError
from worker.jobs.cleaning import clean
from worker.jobs.keys import key
from worker.jobs.records import Origin
from worker.jobs.scripts import Scripts
from worker.jobs.submissions import give_up_after_ms
from worker.jobs.tickets import TICKET_MS
from worker.jobs.uploads import too_much_held
from worker.settings import Settings

_PAGE = 500  # results read at once, and how many bytes of them
_PAGE_BYTES = 4 * 2**20
_FIRST_PAGE = 50  # before it is known how large they are
_SORTED_PAGE = 5000  # paths read at once; takes Redis about 2 ms
MOST_SORTED = 200_000  # images whose rows are sorted by path, which takes about 20 MB
_CLEANING_S = 2.0  # for which deleting uploads may go on at once; a sweeper does the rest
_RETRY_PAGE = 5000  # images queued again in one step; takes Redis about 20 ms


@dataclass(frozen=True, kw_only=True)
class NewImage:
    """An image for a batch."""

    path: bytes  # relative, as the client or the file system spells it
    upload: bytes = b""  # empty where the worker reads it from the batch's folder
    error: dict[str, str] | None = None  # with which it fails at once, where it cannot be accepted
    skipped: bool = False  # no image: counted, but no item

    @property
    def fate(self) -> str:
        """The script's argument of this name: empty, an error (JSON), or `-` for no image."""
        if self.skipped:
            return "-"
        return json.dumps(self.error, separators=(",", ":")) if self.error else ""


class AddedImages(NamedTuple):
    """How many images were added, and how many were not."""

    added: int
    already: int  # left out because the batch has their paths
    ticket_needed: bool


class ResultRow(NamedTuple):
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

    def add(self, job_id: str, images: Sequence[NewImage], *, client_bytes: int = 0) -> AddedImages:
        """Add images in one atomic step, leaving out paths that the batch has.

        So the same images can be added again, which is how an upload is resumed. Raises
        `ConflictError` where the batch is sealed or has ended, `OverloadedError` where too much
        waits, and `ShareExceededError` where more than `client_bytes` would lie here for the client
        that the batch belongs to (0: any).
        """
        return self._append(
            job_id, images, Origin.OPEN, known_paths="skip", client_bytes=client_bytes
        )

    def add_all(
        self, job_id: str, images: Sequence[NewImage], *, before: int, client_bytes: int = 0
    ) -> AddedImages:
        """Add images of the one request that brings them all.

        `before` is the number that it has added so far. A path that the batch has is given a
        number. Raises as `add` does.
        """
        return self._append(
            job_id,
            images,
            Origin.REQUEST,
            known_paths="rename",
            before=before,
            client_bytes=client_bytes,
        )

    def add_listed(
        self, job_id: str, images: Sequence[NewImage], *, claim: int, before: int, skipped: int
    ) -> AddedImages:
        """Add images that a worker found in the batch's folder under its `claim`.

        `before` is the number of those that the batch has, `skipped` that of files passed over
        since images were last added. Raises as `add` does, and `ClaimLostError`.
        """
        return self._append(
            job_id, images, Origin.FOLDER, before=before, claim=claim, skipped=skipped
        )

    def _append(
        self,
        job_id: str,
        images: Sequence[NewImage],
        origin: Origin,
        *,
        known_paths: str = "",
        before: int = -1,
        claim: int | None = None,
        skipped: int = 0,
        client_bytes: int = 0,
    ) -> AddedImages:
        args: list[str | bytes] = []
        for image in images:
            args += [image.path, image.upload, image.fate]
        answer = self._scripts.run(
            "append",
            *args,
            job=job_id,
            claim="" if claim is None else claim,
            ticket_ms=TICKET_MS,
            known_paths=known_paths,
            before=before,
            skipped=skipped,
            most_waiting=self._settings.max_batch_queue,
            give_up_ms=give_up_after_ms(self._settings, origin),
            client_bytes=client_bytes,
        )
        if answer[0] == -1:
            raise ConflictError(f"Batch {job_id} takes no more images: it is sealed or has ended.")
        if answer[0] == -2:
            raise ClaimLostError
        if answer[0] == -3:
            raise OverloadedError("Too many images of this batch wait: add the next ones later.")
        if answer[0] == -4:
            raise too_much_held(held=answer[1], more=answer[2], most=client_bytes)
        return AddedImages(answer[0], answer[1], answer[2] == 1)

    def seal(self, job_id: str) -> None:
        """Take no more images: the batch ends with its last item."""
        self._scripts.run("seal", job=job_id, result_ms=self._settings.result_ttl_s * 1000)

    def break_off(self, job_id: str) -> None:
        """Fail a batch whose one request broke off, and delete what it sent."""
        self._scripts.run("break_off", job=job_id, result_ms=self._settings.result_ttl_s * 1000)
        clean(self._client, _CLEANING_S)

    def keep(self, job_ids: Sequence[str]) -> None:
        """Note that requests still send the images of these batches, lest they are given up."""
        self._scripts.run("keep", *job_ids, give_up_ms=self._settings.stalled_upload_ttl_s * 1000)

    def retry(self, job_id: str) -> tuple[int, bool]:
        """Queue the failed items again; return how many, and whether a ticket has to be sent.

        Raises `ConflictError` where the batch was cancelled or its folder could not be listed.
        """
        queued, ticket = 0, False
        bound = max(1, self._client.scard(key("failures", job_id)))
        while queued < bound:
            count, needed = self._scripts.run(
                "retry", job=job_id, bound=_RETRY_PAGE, ticket_ms=TICKET_MS
            )
            if count < 0:
                raise ConflictError(
                    f"Batch {job_id} was cancelled or not all of its images are known: "
                    "submit it again."
                )
            if count == 0:
                break
            queued, ticket = queued + count, ticket or needed == 1
        return queued, ticket

    def labels(self, job_id: str) -> dict[str, int]:
        """Return how often each label came first."""
        return label_counts(self._client.hgetall(key("labels", job_id)))

    def rows(
        self,
        job_id: str,
        total: int,
        *,
        wanted: str | None = None,
        order: Sequence[int] | None = None,
    ) -> Iterator[ResultRow]:
        """Give finished items in the order of their numbers, a page at a time.

        `wanted` is `succeeded`, `failed` or None for both; `order`: another order of numbers.
        """
        asked = range(1, total + 1) if order is None else order
        start, page = 0, _FIRST_PAGE
        while start < len(asked):
            numbers = list(asked[start : start + page])
            with self._client.pipeline(transaction=False) as pipe:
                pipe.hmget(key("items", job_id), numbers)
                pipe.hmget(key("results", job_id), numbers)
                paths, results = pipe.execute()
            # A result with all of a model's many classes is large.
            start, held = start + page, sum(len(raw) for raw in results if raw is not None)
            if held:
                page = min(_PAGE, max(1, _PAGE_BYTES * page // held))
            for number, path, raw in zip(numbers, paths, results, strict=True):
                if raw is None or path is None:
                    continue
                failed = raw[:1] == b"e"
                if wanted is not None and failed != (wanted == "failed"):
                    continue
                value = json.loads(raw[1:])
                yield ResultRow(number, path, None if failed else value, value if failed else None)

    def by_path(self, job_id: str, total: int) -> list[int]:
        """Return the numbers of all items in the order of their paths.

        Raises `InvalidRequestError` where there are too many to be sorted here.
        """
        if total > MOST_SORTED:
            raise InvalidRequestError(
                f"Only the rows of {MOST_SORTED} images are sorted: leave out order=path, and sort "
                "what comes."
            )
        paths: list[bytes] = []
        for start in range(1, total + 1, _SORTED_PAGE):
            numbers = list(range(start, min(start + _SORTED_PAGE, total + 1)))
            found = self._client.hmget(key("items", job_id), numbers)
            paths += (path or b"" for path in found)
        return sorted(range(1, total + 1), key=lambda number: paths[number - 1])

    def paths(self, job_id: str, total: int) -> Iterator[bytes]:
        """Give the paths of all items in the order of their numbers."""
        for start in range(1, total + 1, _PAGE):
            numbers = range(start, min(start + _PAGE, total + 1))
            found = self._client.hmget(key("items", job_id), list(numbers))
            yield from (path for path in found if path is not None)

    def last(self, job_id: str) -> tuple[int, bytes | None]:
        """Return number and path of the item added last; 0 and None where there is none."""
        total = int(self._client.hget(key("job", job_id), "total") or 0)
        path: bytes | None = self._client.hget(key("items", job_id), total)
        return total, path

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


def label_counts(counts: Mapping[bytes, bytes]) -> dict[str, int]:
    """Return how often each label came first, from the hash in Redis; most often first."""
    pairs = [(label.decode(), int(count)) for label, count in counts.items()]
    return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))

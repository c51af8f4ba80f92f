"""Listing a batch's folder, in a thread of its own while the process classifies."""

import threading
from itertools import islice

import redis
import structlog

from worker.errors import ConflictError, OverloadedError, PermafrostError
from worker.images.folders import SkippedFiles, find_folder, walk
from worker.jobs.batches import Batches, ClaimLostError, NewImage
from worker.jobs.claims import Claim, ClaimedItem
from worker.jobs.records import Outcome
from worker.pool.process import WorkerProcess
from worker.redis.memory import redis_memory

_log = structlog.get_logger(__name__)
_AT_ONCE = 1000  # images added in one step
_PAUSE_S = 2.0  # between tries while Redis is full or cannot be reached
_TRY_AGAIN = (
    OverloadedError,
    redis.ConnectionError,
    redis.TimeoutError,
    redis.exceptions.OutOfMemoryError,
)


class FolderListings:
    """Lists folders into their batches. A listing that dies is resumed after its last path."""

    def __init__(self, process: WorkerProcess, batches: Batches) -> None:
        self._process = process
        self._batches = batches

    def start(self, claim: Claim, claimed: ClaimedItem) -> None:
        """List in the background; the outcome is written when the folder has been walked."""
        threading.Thread(
            target=self._list, args=(claim, claimed), name="listing", daemon=True
        ).start()

    def _list(self, claim: Claim, claimed: ClaimedItem) -> None:
        try:
            outcome = Outcome(result=self._walk(claim, claimed))
        except ClaimLostError:  # taken over by another worker
            self._process.claims.abandon(claim)
            return
        except ConflictError:  # cancelled: the outcome only empties the claim
            outcome = Outcome(result=0)
        except PermafrostError as error:
            outcome = Outcome(error={"code": error.code, "message": error.message})
        except Exception as error:  # whatever it was, another attempt is made
            _log.exception("listing failed", action="listing_failed", job=claimed.item.job_id)
            reason = f"listing the folder met {type(error).__name__}."
            self._process.claims.hand_back(claim, reason, counts=True)
            return
        self._process.claims.finish(claim, {claimed.item: outcome})

    def _walk(self, claim: Claim, claimed: ClaimedItem) -> int:
        """Add the folder's images and return the number of files skipped since the last of them."""
        roots = self._process.settings.folder_roots
        folder = find_folder(str(claimed.options["folder"]), roots)
        job_id, skipped = claimed.item.job_id, SkippedFiles()
        total, last = self._batches.last(job_id)
        paths = walk(
            folder,
            recursive=bool(claimed.options.get("recursive", True)),
            patterns=claimed.options.get("patterns") or (),
            after=last,
            skipped=skipped,
        )
        while images := [NewImage(path=path) for path in islice(paths, _AT_ONCE)]:
            self._add(claim, job_id, images, before=total, skipped=skipped.take())
            total += len(images)
        return skipped.count

    def _add(
        self, claim: Claim, job_id: str, images: list[NewImage], *, before: int, skipped: int
    ) -> None:
        """Add images, waiting as long as Redis is full or cannot be reached.

        The claim is renewed meanwhile by the process's keeper; where it is lost, this ends.
        """
        pause = threading.Event()
        while True:
            try:
                self._require_memory(job_id)
                added = self._batches.add_listed(
                    job_id, images, claim=claim.number, before=before, skipped=skipped
                )
            except _TRY_AGAIN as error:
                _log.info("listing waits", action="listing_waits", job=job_id, error=str(error))
                pause.wait(_PAUSE_S)
                continue
            if added.ticket_needed:
                self._process.send_tickets([claim.lane])
            return

    def _require_memory(self, job_id: str) -> None:
        process = self._process
        if redis_memory(process.client, process.settings.memory_limit_share).left > 0:
            return
        status = process.store.status(job_id)
        if status is None or status.ended:
            raise ConflictError(f"Batch {job_id} has ended.")
        raise OverloadedError("Redis is almost full.")

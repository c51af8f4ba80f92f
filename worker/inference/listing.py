"""Listing a batch's folder, in a thread of its own beside the classifying."""

import os
import threading
from itertools import islice

import structlog

from worker.errors import ConflictError, OverloadedError, PermafrostError
from worker.images.folders import Skipped, find_folder, walk
from worker.jobs.batches import Batches, ClaimLostError, NewImage
from worker.jobs.claims import Claim, ClaimedItem
from worker.jobs.records import Outcome
from worker.process import WorkerProcess

_log = structlog.get_logger(__name__)
_AT_ONCE = 1000  # images added in one step
_PAUSE_S = 2.0  # while too much waits


class Listings:
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
        except (ClaimLostError, ConflictError):  # taken over by another worker, or cancelled
            return
        except PermafrostError as error:
            outcome = Outcome(error={"code": error.code, "message": error.message})
        except Exception:  # the lease runs out, and another attempt is made
            _log.exception("listing failed", action="listing_failed", job=claimed.item.job_id)
            return
        self._process.claims.complete(claim, {claimed.item: outcome})

    def _walk(self, claim: Claim, claimed: ClaimedItem) -> int:
        """Add the folder's images and return the number of files skipped."""
        roots = self._process.settings.folder_roots
        root, folder = find_folder(str(claimed.options["folder"]), roots)
        job_id, skipped = claimed.item.job_id, Skipped()
        last = self._batches.last_path(job_id)
        paths = walk(
            folder,
            root=root,
            recursive=bool(claimed.options.get("recursive", True)),
            patterns=claimed.options.get("patterns") or (),
            after=os.fsdecode(last) if last else None,
            skipped=skipped,
        )
        while chunk := list(islice(paths, _AT_ONCE)):
            self._add(claim, job_id, [NewImage(path=os.fsencode(path)) for path in chunk])
        return skipped.count

    def _add(self, claim: Claim, job_id: str, images: list[NewImage]) -> None:
        pause = threading.Event()
        while True:
            try:
                added = self._batches.add(job_id, images, claim=claim.number)
            except OverloadedError:
                pause.wait(_PAUSE_S)
                continue
            if added.ticket_needed:
                self._process.send_tickets([claim.lane])
            return

"""The work of an inference process: claims micro-batches, runs them, writes the outcomes."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import redis
import structlog

from worker.errors import (
    ModelNotFoundError,
    ModelSetAsideError,
    ModelUnavailableError,
    NotAClassifierError,
)
from worker.images.decode import Limits
from worker.inference.batch_sizer import BatchSizer, LatencyBudget
from worker.inference.duplicates import classify_once
from worker.inference.graph import LoadedGraph
from worker.inference.graphs import BeingTriedError, Graphs
from worker.inference.listing import FolderListings
from worker.inference.micro_batch import classify, failure, first_line
from worker.inference.reading import read
from worker.inference.unavailable import UnavailableVersions
from worker.jobs.batches import Batches
from worker.jobs.claims import Claim
from worker.jobs.records import Item, Lane, Outcome
from worker.models.generation import generation
from worker.models.manifest import ModelRef
from worker.models.registry import Registry
from worker.models.set_aside import SetAsideVersions
from worker.pool.process import WorkerProcess
from worker.pool.scoreboard import Casualty
from worker.pool.watchdog import GraphRun

_log = structlog.get_logger(__name__)
_TURN_S = 2.0  # time on one ticket; then the process returns to Celery, which may want to stop it
# Time that a start waits for versions that must be tried first; a good model takes less.
_WAIT_FOR_TRIALS_S = 3.0
_DIED = {  # the reason of a strike, by a casualty's code
    "crashed": "a run crashed its process",
    "timed_out": "a run hung its process",
}
_SHARE_OF_LIMIT = 0.25  # of its time limit, that a micro-batch should take at most


class Classifier:
    """The work of one inference process.

    `is_stale` says whether the process has to be replaced because it cannot read what others could.
    """

    def __init__(
        self,
        process: WorkerProcess,
        graphs: Graphs,
        registry: Registry,
        *,
        is_stale: Callable[[], bool] = lambda: False,
    ) -> None:
        self._process = process
        self._is_stale = is_stale
        self._graphs = graphs
        self._registry = registry
        self._generation: bytes | None = b"never read"
        self._preloading = threading.Lock()
        self._sizers = {lane: BatchSizer(process.settings.micro_batch) for lane in process.lanes}
        self._latency = LatencyBudget()
        self._efficient = 1  # images of an efficient run of the graph that was run last
        self._batches = Batches(process.client, process.settings)
        self._listings = FolderListings(process, self._batches)
        self._unavailable = UnavailableVersions(process, graphs)
        self._set_aside = SetAsideVersions(process.client, process.settings)

    def start(self, casualty: Casualty | None) -> None:
        """Load what `stable` means for every model, so that the first request finds it.

        It waits a short time for versions that must be tried first; one that never ends must not
        keep others from being served. `casualty` is what the process that this one replaces was
        running when it died.
        """
        if casualty is not None:
            self._note_strike(casualty.version, casualty.code, _DIED[casualty.code])
        self.preload(wait_s=_WAIT_FOR_TRIALS_S)

    def preload(self, *, wait_s: float = 0.0) -> None:
        """Load what `stable` means for every model, without versions that are set aside."""
        if self._graphs.trials is not None:
            self._graphs.trials.refresh()
        self._graphs.preload(self._registry.stable(), wait_s=wait_s)

    def strike(self, run: GraphRun) -> None:
        """Count that this process must be replaced because of a version."""
        if run.waits:
            reason = "a run needed more memory than it may take"
            self._note_strike(run.version, "out_of_memory", reason)
        elif run.loading:
            reason = f"loading it did not end within {run.limit_s:g} s"
            self._note_strike(run.version, "timed_out", reason, at_once=True)
        else:
            reason = f"a run did not end within {run.limit_s:.3g} s"
            self._note_strike(run.version, "timed_out", reason)

    def tried(self) -> None:
        """Report the version that was tried, and send tickets for what waits for it."""
        self._process.wake()
        self._process.send_tickets(self._process.lanes)

    def _note_strike(self, version: str, code: str, reason: str, *, at_once: bool = False) -> None:
        ref = ModelRef.parse(version)
        name, number = ref.name, ref.version or 0
        sha256 = self._registry.manifest(name, number).sha256
        note = self._set_aside.add if at_once else self._set_aside.strike
        with suppress(redis.RedisError):
            note(name, number, sha256=sha256, code=code, reason=reason)

    def follow_registry(self) -> None:
        """Preload in a thread of its own if the registry has changed since the last call."""
        now = generation(self._process.client)
        if now == self._generation or not self._preloading.acquire(blocking=False):
            return
        self._generation = now

        def load() -> None:
            try:
                self.preload()
            finally:
                self._preloading.release()
                self._process.wake()  # to report it, and because the registry may have changed

        threading.Thread(target=load, name="preload", daemon=True).start()

    def work(self, ticket: Lane) -> bool:
        """Work on what waits, interactive first, until the turn is over.

        Where nothing waits, this process waits to be called, which costs a fraction of a ticket.

        Returns whether the process may go on; otherwise it should end now, because it has grown too
        much or has to be replaced.
        """
        process = self._process
        deadline = time.monotonic() + _TURN_S
        lane: Lane | None = ticket
        while True:
            try:
                leave = self._unavailable.versions()
                # Otherwise it would be called again and again to items that it leaves to others.
                wait_s = 0.0 if leave else deadline - time.monotonic()
                claim = process.claims.claim(
                    process.lanes,
                    self._capacity(Lane.INTERACTIVE),
                    bulk=self._capacity(Lane.BULK),
                    ticket=lane,
                    leave=leave,
                    wait_s=wait_s,
                    efficient=self._efficient,
                )
                lane = None
                if claim is None:
                    if process.claims.called(wait_s, until=process.is_stopping):
                        continue
                    return True
            except redis.RedisError as error:
                # The ticket is used up, but the sweeper sends another.
                _log.warning("nothing claimed", action="store_unavailable", error=str(error))
                return True
            process.send_tickets(claim.tickets_needed)
            if self._is_stale():
                _log.info("folders have changed", action="worker_stale")
                process.claims.hand_back(claim, "its worker process was replaced.", counts=False)
                return False
            self._run(claim)
            if self._graphs.trials is not None and self._graphs.trials.is_lost:
                return False
            if process.memory.exceeded:
                _log.warning("worker full", action="worker_full", memory_bytes=process.memory.used)
                return False
            if time.monotonic() > deadline or process.is_stopping():
                return True  # if more waits, a ticket for it is on its way since the last claim

    def _run(self, claim: Claim) -> None:
        if claim.items[0].is_listing and not self._has_another(claim):
            self._listings.start(claim, claim.items[0])
            return
        if claim.lane is Lane.INTERACTIVE:
            self._latency.requested()
        started = time.monotonic()
        try:
            outcomes = self._outcomes(claim)
        except ModelSetAsideError as error:
            gone = failure(error.code, error.message)
            failed = dict.fromkeys((claimed.item for claimed in claim.items), gone)
            self._process.claims.finish(claim, failed)
            return
        except BeingTriedError as error:
            self._process.claims.hand_back(claim, error.message, counts=False)
            return
        except (ModelUnavailableError, ModelNotFoundError) as error:
            if not any(map(self._unavailable.is_hopeless, (claim.pinned, claim.version))):
                self._process.claims.hand_back(claim, error.message, counts=False)
                return
            gone = failure(ModelUnavailableError.code, error.message)
            failed = dict.fromkeys((claimed.item for claimed in claim.items), gone)
            self._process.claims.finish(claim, failed)
            return
        except Exception as error:  # whatever it was, the items must not be lost
            _log.exception("claim failed", action="claim_failed", claim=claim.number)
            reason = f"the worker met {type(error).__name__}: {first_line(error)}"
            self._process.claims.hand_back(claim, reason, counts=True)
        else:
            self._process.claims.finish(claim, outcomes)
        self._sizers[claim.lane].measured(len(claim.items), time.monotonic() - started)

    def _capacity(self, lane: Lane) -> int:
        sizer, limit_s = self._sizers.get(lane), self._process.settings.run_time_limit_s
        if sizer is None:
            return 0
        if lane is Lane.BULK:  # requests for single images wait for it
            return sizer.images(self._latency.seconds)
        return sizer.images(limit_s * _SHARE_OF_LIMIT)

    def _outcomes(self, claim: Claim) -> dict[Item, Outcome]:
        try:
            graph = self._graph(claim)
        except NotAClassifierError as error:
            gone = failure(error.code, error.message)
            return dict.fromkeys((claimed.item for claimed in claim.items), gone)
        settings = self._process.settings
        run = partial(
            classify,
            graph,
            limits=Limits(
                settings.max_image_pixels,
                settings.decode_time_limit_s,
                settings.decode_memory_bytes,
            ),
            reduced=settings.reduced_decoding,
        )
        outcomes: dict[Item, Outcome] = {}
        with self._process.claims.run(claim):
            for images, failures in read(claim.items, settings):
                outcomes |= failures
                if settings.deduplicate:
                    outcomes |= classify_once(self._batches, images, run)
                else:
                    outcomes |= run(images)
        self._efficient = graph.efficient
        return outcomes

    def _graph(self, claim: Claim) -> LoadedGraph:
        """Return the graph that the claim is pinned to.

        Raises `ModelNotFoundError`, and `ModelUnavailableError` also where what is here under its
        name and number would give other answers.
        """
        ref = ModelRef.parse(claim.version)
        number = ref.version or 0
        try:
            manifest = self._registry.manifest(ref.name, number)
        except (ModelUnavailableError, ModelNotFoundError) as error:
            self._graphs.absent(ref.name, number, error.message)
            raise
        if not claim.is_pinned_to(manifest):
            message = (
                f"{claim.version} is not the same here as where the job was accepted: its graph, "
                "labels or preprocessing differ, and no worker has those that it was accepted for. "
                "Give the API and its workers one data folder (PERMAFROST_DATA), each installation "
                "a Redis database of its own (REDIS_URL), and submit again."
            )
            self._graphs.absent(ref.name, number, message, digest=claim.digest)
            raise ModelUnavailableError(message)
        manifest.classifying()
        return self._graphs.get(manifest)

    def _has_another(self, claim: Claim) -> bool:
        """Whether what is here under the claim's version would give other answers."""
        ref = ModelRef.parse(claim.version)
        try:
            return not claim.is_pinned_to(self._registry.manifest(ref.name, ref.version or 0))
        except (ModelUnavailableError, ModelNotFoundError):
            return False  # it may be there when the images are classified

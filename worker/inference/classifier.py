"""Classifying: claims micro-batches, decodes, runs the graph once, writes the outcomes."""

import threading
import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import redis
import structlog

from worker.errors import (
    ImageError,
    ModelNotFoundError,
    ModelUnavailableError,
    PermafrostError,
    UploadGoneError,
)
from worker.images.decode import decode
from worker.images.folders import find_folder, read_image
from worker.images.preprocess import prepare
from worker.inference.duplicates import classify_once
from worker.inference.graph import LoadedGraph
from worker.inference.graphs import Graphs
from worker.inference.listing import Listings
from worker.inference.scores import rank, to_scores
from worker.jobs.batches import Batches
from worker.jobs.claims import Claim, ClaimedItem
from worker.jobs.keys import key
from worker.jobs.records import Item, Kind, Lane, Outcome
from worker.models.manifest import Manifest, ModelRef
from worker.models.registry import Registry
from worker.process import WorkerProcess
from worker.settings import Settings

_log = structlog.get_logger(__name__)
_TURN_S = 2.0  # a ticket's turn; then the process returns to Celery, which may want to stop it
_MOST_EXTRA_VALUES = 1000  # numbers shown per image of each output after the first


class Classifier:
    """The work of one inference process."""

    def __init__(self, process: WorkerProcess, graphs: Graphs, registry: Registry) -> None:
        self._process = process
        self._graphs = graphs
        self._registry = registry
        self._generation: bytes | None = b"never read"
        self._preloading = threading.Lock()
        self._batches = Batches(process.client, process.settings)
        self._listings = Listings(process, self._batches)

    def preload(self) -> None:
        """Load what `stable` means for every model, so that the first request finds it."""
        self._graphs.preload(self._registry.stable())

    def follow_registry(self) -> None:
        """Preload in a thread of its own when the registry has changed since the last look."""
        generation = self._process.client.get(key("generation"))
        if generation == self._generation or not self._preloading.acquire(blocking=False):
            return
        self._generation = generation

        def load() -> None:
            try:
                self.preload()
            finally:
                self._preloading.release()

        threading.Thread(target=load, name="preload", daemon=True).start()

    def work(self, ticket: Lane) -> None:
        """Work on what waits, interactive first, until nothing does or the turn is over."""
        process = self._process
        deadline = time.monotonic() + _TURN_S
        lane: Lane | None = ticket
        while True:
            claim = process.claims.claim(process.lanes, process.settings.micro_batch, ticket=lane)
            if claim is None:
                return
            lane = None
            process.send_tickets(claim.tickets_needed)
            self._run(claim)
            if time.monotonic() > deadline:
                process.send_tickets([claim.lane])
                return

    def _run(self, claim: Claim) -> None:
        items = []
        for claimed in claim.items:
            if claimed.kind is Kind.BATCH and claimed.item.number == 0:
                self._listings.start(claim, claimed)
            else:
                items.append(claimed)
        if not items:
            return
        try:
            ref = ModelRef.parse(claim.target)
            manifest = self._registry.manifest(ref.name, ref.version or 0)
            outcomes = self._classify(self._graphs.get(manifest), items)
        except (ModelUnavailableError, ModelNotFoundError) as error:
            failure = _failure(ModelUnavailableError.code, error.message)
            outcomes = dict.fromkeys((claimed.item for claimed in items), failure)
        refused = self._insist(lambda: self._process.claims.complete(claim, outcomes))
        self._process.items += len(outcomes) - len(refused or ())
        for item in refused or ():
            _log.warning("late result refused", action="late_result", item=item, claim=claim.number)

    def _classify(self, graph: LoadedGraph, items: list[ClaimedItem]) -> dict[Item, Outcome]:
        settings = self._process.settings
        unread: dict[Item, Outcome] = {}
        read = []
        for claimed in items:
            try:
                read.append(_with_content(claimed, settings))
            except PermafrostError as error:
                unread[claimed.item] = _failure(error.code, error.message)
        run = partial(classify, graph, most_pixels=settings.max_image_pixels)
        if settings.deduplicate and any(claimed.kind is Kind.BATCH for claimed in read):
            return unread | classify_once(self._batches, tuple(read), run)
        return unread | run(tuple(read))

    def _insist(self, write: Any) -> Any:
        """Write to the store, trying again for as long as the lease could still hold."""
        deadline = time.monotonic() + self._process.settings.lease_s
        while True:
            try:
                return write()
            except (redis.ConnectionError, redis.TimeoutError) as error:
                if time.monotonic() > deadline:
                    _log.error("outcome lost", action="outcome_lost", error=str(error))
                    return None
                time.sleep(0.2)


def _with_content(claimed: ClaimedItem, settings: Settings) -> ClaimedItem:
    """Return the item with its image's bytes, which for a folder are read from it."""
    if claimed.kind is not Kind.BATCH:
        return claimed
    name = claimed.options.get("folder")
    if name is not None:
        root, folder = find_folder(name, settings.folder_roots)
        content = read_image(folder, claimed.path, root=root, most_bytes=settings.max_image_bytes)
        return replace(claimed, upload=content)
    if not claimed.upload:
        raise UploadGoneError("The upload is no longer kept: send the image again.")
    return claimed


def classify(
    graph: LoadedGraph, items: tuple[ClaimedItem, ...], *, most_pixels: int
) -> dict[Item, Outcome]:
    """Decode the items' uploads, run the graph once over all that could be read, and rank.

    An image that cannot be read costs only itself: its outcome is the error.
    """
    outcomes: dict[Item, Outcome] = {}
    inputs: list[npt.NDArray[np.generic]] = []
    readable: list[ClaimedItem] = []
    for claimed in items:
        try:
            image = decode(claimed.upload, most_pixels=most_pixels)
            inputs.append(prepare(image, graph.manifest.preprocessing, graph.dtype))
            readable.append(claimed)
        except ImageError as error:
            outcomes[claimed.item] = _failure(error.code, error.message)
    try:
        outcomes.update(_run(graph, readable, inputs))
    except Exception:
        # Whatever it was, it must not cost the others: each image has a try of its own.
        _log.exception("micro-batch failed", action="micro_batch_failed", images=len(readable))
        for claimed, row in zip(readable, inputs, strict=True):
            try:
                outcomes.update(_run(graph, [claimed], [row]))
            except Exception as error:  # TensorFlow's and NumPy's errors alike
                reason = (str(error).splitlines() or [type(error).__name__])[0][:300]
                outcomes[claimed.item] = _failure(
                    "model_failed", f"The model failed on this image: {reason}"
                )
    return outcomes


def _failure(code: str, message: str) -> Outcome:
    return Outcome(error={"code": code, "message": message})


def _run(
    graph: LoadedGraph, items: list[ClaimedItem], inputs: list[npt.NDArray[np.generic]]
) -> dict[Item, Outcome]:
    if not items:
        return {}
    return _results(graph.manifest, graph.run(np.stack(inputs)), items)


def _results(
    manifest: Manifest, outputs: list[npt.NDArray[Any]], items: list[ClaimedItem]
) -> dict[Item, Outcome]:
    scores = to_scores(np.asarray(outputs[0], np.float32).reshape(len(items), -1), manifest.scores)
    outcomes = {}
    for number, claimed in enumerate(items):
        if not np.isfinite(scores[number]).all():
            outcomes[claimed.item] = _failure(
                "not_finite", "The model answered with NaN or infinity for this image."
            )
            continue
        top = int(claimed.options.get("top", 5))
        predictions = rank(scores[number], manifest.labels, top)
        if claimed.kind is Kind.BATCH:  # kept short: there are many
            outcomes[claimed.item] = Outcome(
                result=[[p["label"], p["score"]] for p in predictions],
                label=predictions[0]["label"],
            )
            continue
        result: dict[str, Any] = {"predictions": predictions}
        if len(outputs) > 1:
            result["outputs"] = {
                tensor.name: np.asarray(values[number]).reshape(-1)[:_MOST_EXTRA_VALUES].tolist()
                for tensor, values in zip(manifest.outputs[1:], outputs[1:], strict=True)
            }
        outcomes[claimed.item] = Outcome(result=result)
    return outcomes

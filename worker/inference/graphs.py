"""The graphs that this process keeps loaded: the most recently used, within a memory budget."""

import gc
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass

import structlog

from worker.errors import ModelSetAsideError, ModelUnavailableError
from worker.inference.absent import AbsentVersions, Failure
from worker.inference.graph import LoadedGraph
from worker.inference.trial import loading_bytes
from worker.inference.trials import Trials
from worker.jobs.roster import GraphReport
from worker.models.manifest import Manifest, Measured
from worker.models.registry import Registry
from worker.pool.allocator import release_freed
from worker.pool.memory import MemoryHeadroom
from worker.pool.watchdog import Watchdog
from worker.settings import Settings

_log = structlog.get_logger(__name__)
RETRY_S = 10.0  # a graph that failed to load is not tried again sooner
_TRIALS_AT_ONCE = 2
_SLOT_S = 3.0  # after which a trial that still runs no longer keeps another one waiting
_IDLE_S = 60.0  # after which a version that no alias `stable` means is dropped


@dataclass
class _Entry:
    manifest: Manifest
    lock: threading.Lock  # held while loading, so that a graph is loaded once
    graph: LoadedGraph | None = None
    state: str = "loading"
    loads: int = 0
    error: str | None = None
    failed_at: float = 0.0
    failing_since: float | None = None
    used_at: float = 0.0
    measured: Measured | None = None
    trial: threading.Thread | None = None  # while the version is tried

    @property
    def bytes(self) -> int:
        """What it takes in memory: its file, or more where that was measured."""
        loaded = self.measured.loaded_bytes if self.measured else 0
        return max(self.manifest.served.bytes, loaded)

    def report(self) -> GraphReport:
        """Return its row in the report."""
        return GraphReport(
            model=self.manifest.name,
            version=self.manifest.version,
            sha256=self.manifest.sha256,
            digest=self.manifest.digest,
            state=self.state,
            loads=self.loads,
            load_seconds=round(self.graph.load_seconds, 3) if self.graph else 0.0,
            bytes=self.manifest.served.bytes,
            runtime=self.manifest.runtime,
            error=self.error,
        )


class BeingTriedError(ModelUnavailableError):
    """The version is being tried."""


class Graphs:
    """Loads each graph at most once at a time and drops the least recently used over budget.

    With `trials` a version that was not tried yet is first tried in a process of its own, while
    this one works on; `on_tried` is called afterwards. `watchdog` watches loading and runs, and
    `headroom` is raised for loading.
    """

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        *,
        trials: Trials | None = None,
        watchdog: Watchdog | None = None,
        headroom: MemoryHeadroom | None = None,
    ) -> None:
        self.trials = trials
        self.on_tried: Callable[[], None] = lambda: None
        self._watchdog = watchdog or Watchdog()
        self._headroom = headroom
        self._slots = threading.Semaphore(_TRIALS_AT_ONCE)
        self._registry = registry
        self._settings = settings
        self._entries: OrderedDict[tuple[str, int], _Entry] = OrderedDict()
        self._absent = AbsentVersions()
        self._lock = threading.Lock()

    def get(self, manifest: Manifest) -> LoadedGraph:
        """Return the version's graph, loading it first if need be.

        Raises `ModelUnavailableError`; for some seconds after a failure without trying again. A
        version that must be tried first is tried beside this, which raises `BeingTriedError`, and
        one that is set aside raises `ModelSetAsideError`.
        """
        key = (manifest.name, manifest.version)
        with self._lock:
            self._absent.remove(manifest)
            entry = self._entries.get(key)
            if entry is None or entry.manifest.digest != manifest.digest:  # a registry restored
                entry = self._entries[key] = _Entry(manifest, threading.Lock())
            self._entries.move_to_end(key)
            entry.used_at = time.monotonic()
        self._check(entry)
        graph = entry.graph
        if graph is not None:
            return graph
        if entry.error and time.monotonic() - entry.failed_at < RETRY_S:
            raise ModelUnavailableError(entry.error)
        if self._needs_trial(entry):
            raise BeingTriedError(f"{manifest.name}@{manifest.version} is being tried.")
        return self._loaded(entry)

    def _loaded(self, entry: _Entry) -> LoadedGraph:
        with entry.lock:
            if entry.graph is not None:
                return entry.graph
            if entry.error and time.monotonic() - entry.failed_at < RETRY_S:
                raise ModelUnavailableError(entry.error)
            return self._load(entry)

    def _check(self, entry: _Entry) -> None:
        """Raise `ModelSetAsideError` where the version is set aside, and drop its graph."""
        if self.trials is None:
            return
        try:
            self.trials.check(entry.manifest)
        except ModelSetAsideError as error:
            entry.graph, entry.state, entry.error = None, "set_aside", error.message
            entry.failing_since = None
            raise
        if entry.state == "set_aside":  # it is to be tried again
            entry.state, entry.error = "loading", None

    def _needs_trial(self, entry: _Entry) -> bool:
        """Whether a version must be tried before it is loaded; if so, start its trial."""
        if self.trials is None:
            return False
        with self._lock:
            if entry.trial is not None:
                return True
        known = self.trials.known(entry.manifest)
        with self._lock:
            if known is not None:
                entry.measured = known
            elif entry.trial is None:
                entry.trial = threading.Thread(
                    target=self._try, args=(self.trials, entry), name="trial", daemon=True
                )
                entry.trial.start()
            return known is None

    def _try(self, trials: Trials, entry: _Entry) -> None:
        """Try a version in a process of its own, and load it where that went well.

        Few are tried at the same time, but a long trial does not keep others waiting.
        """
        slot = _TrialPlace(self._slots)
        waiting = threading.Timer(_SLOT_S, slot.leave)
        waiting.daemon = True
        waiting.start()
        try:
            entry.measured = trials.measure(
                entry.manifest, self._registry.served_path(entry.manifest)
            )
            self._loaded(entry)
        except ModelSetAsideError:
            with suppress(ModelSetAsideError):
                self._check(entry)
        except ModelUnavailableError as error:
            self._failed(entry, error.message)
        except Exception:  # any error must be visible in the report
            _log.exception("trial failed", action="trial_failed")
            self._failed(entry, f"{entry.manifest.name}@{entry.manifest.version} cannot be tried.")
        finally:
            waiting.cancel()
            slot.leave()
            entry.trial = None
            self.on_tried()

    def preload(self, manifests: list[Manifest], *, wait_s: float = 0.0) -> None:
        """Load what fits into the budget together; the rest is loaded when it is asked for.

        Failures are kept for the report. Other graphs that were not used lately are dropped, so
        that a model that is often published does not fill the memory. Waits for versions that must
        be tried first, `wait_s` at most.
        """
        until = time.monotonic() + wait_s
        self._drop_idle({(manifest.name, manifest.version) for manifest in manifests})
        room = self._settings.graph_memory_bytes
        for manifest in manifests:
            if manifest.served.bytes > room:
                with self._lock:
                    self._entries.setdefault(
                        (manifest.name, manifest.version),
                        _Entry(manifest, threading.Lock(), state="dropped"),
                    )
                continue
            room -= manifest.served.bytes
            try:
                self.get(manifest)
            except (BeingTriedError, ModelSetAsideError):
                continue
            except ModelUnavailableError as error:
                _log.warning("graph failed", action="graph_failed", error=error.message)
        while self.being_tried() and (left := until - time.monotonic()) > 0:
            with self._lock:
                trials = [entry.trial for entry in self._entries.values() if entry.trial]
            for trial in trials[:1]:
                trial.join(left)

    def being_tried(self) -> list[str]:
        """Return the versions (`NAME@VERSION`) that are being tried."""
        with self._lock:
            return [
                f"{name}@{version}"
                for (name, version), entry in self._entries.items()
                if entry.trial is not None
            ]

    def manifest(self, version: str) -> Manifest | None:
        """Return the manifest of a version (`NAME@VERSION`) that was asked for here."""
        with self._lock:
            for entry in self._entries.values():
                if f"{entry.manifest.name}@{entry.manifest.version}" == version:
                    return entry.manifest
        return None

    def absent(self, name: str, version: int, error: str, *, digest: str = "") -> None:
        """Note that a version that was asked for has no manifest that can be read here.

        With `digest`, that what is here under this name and number is of another digest.
        """
        with self._lock:
            self._absent.add(name, version, error, digest)

    def failures(self) -> dict[str, Failure]:
        """Return the versions (`NAME@VERSION`, or with `#DIGEST`) that this process cannot load."""
        with self._lock:
            failures = {
                f"{name}@{version}": Failure(entry.failing_since, entry.failed_at)
                for (name, version), entry in self._entries.items()
                if entry.failing_since is not None
            }
            failures.update(self._absent.failures())
        return failures

    def report(self) -> list[GraphReport]:
        """Return one row per graph that this process loads, has or failed to load."""
        with self._lock:
            entries = list(self._entries.values())
            absent = self._absent.report()
        return absent + [entry.report() for entry in entries]

    def _load(self, entry: _Entry) -> LoadedGraph:
        manifest = entry.manifest
        entry.state, entry.error = "loading", None
        try:
            with self._loading(manifest):
                graph = LoadedGraph(
                    manifest,
                    self._registry.served_path(manifest),
                    self._settings,
                    most_images=entry.measured.micro_batch if entry.measured else None,
                    watchdog=self._watchdog,
                )
        except ModelUnavailableError as error:
            self._failed(entry, error.message)
            raise
        except Exception as error:  # any error must be visible in the report
            _log.exception("graph failed", action="graph_failed")
            message = (
                f"{manifest.name}@{manifest.version} cannot be loaded: the worker met "
                f"{type(error).__name__}, which was written to its log."
            )
            self._failed(entry, message)
            raise ModelUnavailableError(message) from error
        entry.failing_since = None
        entry.graph, entry.loads, entry.state = graph, entry.loads + 1, "ready"
        _log.info(
            "graph loaded",
            action="graph_loaded",
            model=f"{manifest.name}@{manifest.version}",
            seconds=round(graph.load_seconds, 3),
            loads=entry.loads,
        )
        self._drop_least_recent(keep=entry)
        return graph

    @contextmanager
    def _loading(self, manifest: Manifest) -> Iterator[None]:
        """Watch the loading of a version, and allow the memory that it takes."""
        more = loading_bytes(manifest, self._settings)
        allowed = self._headroom.raised(more) if self._headroom else nullcontext()
        called = f"{manifest.name}@{manifest.version}"
        limit = self._settings.load_time_limit_s
        with allowed, self._watchdog.watching(called, limit, loading=True):
            yield

    def _failed(self, entry: _Entry, message: str) -> None:
        now = time.monotonic()
        entry.state, entry.error, entry.failed_at = "failed", message, now
        if entry.failing_since is None:
            entry.failing_since = now

    def _drop_idle(self, wanted: set[tuple[str, int]]) -> None:
        idle_since = time.monotonic() - _IDLE_S
        dropped = 0
        with self._lock:
            for key, entry in list(self._entries.items()):
                busy = entry.state == "loading" or entry.trial is not None
                if key not in wanted and not busy and entry.used_at < idle_since:
                    del self._entries[key]
                    dropped += entry.graph is not None
        _free(dropped)

    def _drop_least_recent(self, keep: _Entry) -> None:
        dropped = 0
        with self._lock:
            loaded = [entry for entry in self._entries.values() if entry.graph is not None]
            used = sum(entry.bytes for entry in loaded)
            for entry in loaded:
                if used <= self._settings.graph_memory_bytes:
                    break
                if entry is keep:
                    continue
                used -= entry.bytes
                # The session is freed when the last micro-batch that runs in it has ended.
                entry.graph, entry.state = None, "dropped"
                dropped += 1
        _free(dropped)


class _TrialPlace:
    """One of the places of trials that run at the same time."""

    def __init__(self, slots: threading.Semaphore) -> None:
        """Take a place as soon as one is free."""
        self._slots: threading.Semaphore | None = slots
        self._lock = threading.Lock()
        slots.acquire()

    def leave(self) -> None:
        """Free the place; further calls do nothing."""
        with self._lock:
            slots, self._slots = self._slots, None
        if slots is not None:
            slots.release()


def _free(dropped: int) -> None:
    """Free the memory of graphs that were dropped.

    TensorFlow's graphs refer to themselves, and Python would collect such cycles much later. The
    collection is fast, because all objects from before the fork are frozen.
    """
    if dropped:
        gc.collect()
        release_freed()

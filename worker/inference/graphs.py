"""The graphs that this process keeps: the most recently used ones within a memory budget."""

import gc
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

import structlog

from worker.errors import ModelUnavailableError
from worker.inference.graph import LoadedGraph
from worker.jobs.roster import GraphReport
from worker.memory import leave_freed
from worker.models.manifest import Manifest
from worker.models.registry import Registry
from worker.settings import Settings

_log = structlog.get_logger(__name__)
RETRY_S = 10.0  # a graph that failed to load is not tried again sooner
_IDLE_S = 60.0  # after which a version that is not stable any more is let go


class Failure(NamedTuple):
    """How long a version could not be loaded. Times are monotonic."""

    since: float
    last: float


@dataclass
class _Absent:
    """A version of which not even the manifest can be read here."""

    error: str
    since: float
    last: float


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


class Graphs:
    """Loads each graph at most once at a time and drops the least recently used over budget."""

    def __init__(self, registry: Registry, settings: Settings) -> None:
        self._registry = registry
        self._settings = settings
        self._entries: OrderedDict[tuple[str, int], _Entry] = OrderedDict()
        self._absent: dict[tuple[str, int], _Absent] = {}
        self._lock = threading.Lock()

    def get(self, manifest: Manifest) -> LoadedGraph:
        """Return the version's graph, loading it first if need be.

        Raises `ModelUnavailableError`; for some seconds after a failure without trying again.
        """
        key = (manifest.name, manifest.version)
        with self._lock:
            self._absent.pop(key, None)
            entry = self._entries.setdefault(key, _Entry(manifest, threading.Lock()))
            self._entries.move_to_end(key)
            entry.used_at = time.monotonic()
        with entry.lock:
            if entry.graph is not None:
                return entry.graph
            if entry.error and time.monotonic() - entry.failed_at < RETRY_S:
                raise ModelUnavailableError(entry.error)
            return self._load(entry)

    def preload(self, manifests: list[Manifest]) -> None:
        """Load what fits into the budget together; the rest is loaded when it is asked for.

        Failures are kept for the report. Other graphs that have not been asked for lately are let
        go, so that a model that is published again and again does not fill the memory.
        """
        self._let_go({(manifest.name, manifest.version) for manifest in manifests})
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
            except ModelUnavailableError as error:
                _log.warning("graph failed", action="graph_failed", error=error.message)

    def absent(self, name: str, version: int, error: str) -> None:
        """Note that a version that was asked for has no manifest that can be read here."""
        now = time.monotonic()
        with self._lock:
            since = self._absent[name, version].since if (name, version) in self._absent else now
            self._absent[name, version] = _Absent(error, since, now)

    def failures(self) -> dict[str, Failure]:
        """Return the versions (`NAME@VERSION`) that this process cannot load."""
        with self._lock:
            failures = {
                f"{name}@{version}": Failure(entry.failing_since, entry.failed_at)
                for (name, version), entry in self._entries.items()
                if entry.failing_since is not None
            }
            for (name, version), absent in self._absent.items():
                failures[f"{name}@{version}"] = Failure(absent.since, absent.last)
        return failures

    def report(self) -> list[GraphReport]:
        """Return one row per graph that this process loads, has or failed to load."""
        with self._lock:
            entries = list(self._entries.values())
            absent = list(self._absent.items())
        return [
            GraphReport(
                model=name,
                version=version,
                sha256="",
                runtime="",
                state="failed",
                loads=0,
                load_seconds=0.0,
                bytes=0,
                error=missing.error,
            )
            for (name, version), missing in absent
        ] + [
            GraphReport(
                model=entry.manifest.name,
                version=entry.manifest.version,
                sha256=entry.manifest.sha256,
                state=entry.state,
                loads=entry.loads,
                load_seconds=round(entry.graph.load_seconds, 3) if entry.graph else 0.0,
                bytes=entry.manifest.served.bytes,
                runtime=entry.manifest.runtime,
                error=entry.error,
            )
            for entry in entries
        ]

    def _load(self, entry: _Entry) -> LoadedGraph:
        manifest = entry.manifest
        entry.state, entry.error = "loading", None
        try:
            graph = LoadedGraph(
                manifest,
                self._registry.served_path(manifest),
                self._settings,
            )
        except ModelUnavailableError as error:
            self._failed(entry, error.message)
            raise
        except Exception as error:  # whatever it was, it must be seen in the report
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
        self._make_room(keep=entry)
        return graph

    def _failed(self, entry: _Entry, message: str) -> None:
        now = time.monotonic()
        entry.state, entry.error, entry.failed_at = "failed", message, now
        if entry.failing_since is None:
            entry.failing_since = now

    def _let_go(self, wanted: set[tuple[str, int]]) -> None:
        idle_since = time.monotonic() - _IDLE_S
        dropped = 0
        with self._lock:
            for key, entry in list(self._entries.items()):
                if key not in wanted and entry.state != "loading" and entry.used_at < idle_since:
                    del self._entries[key]
                    dropped += entry.graph is not None
        _free(dropped)

    def _make_room(self, keep: _Entry) -> None:
        dropped = 0
        with self._lock:
            loaded = [entry for entry in self._entries.values() if entry.graph is not None]
            used = sum(entry.manifest.served.bytes for entry in loaded)
            for entry in loaded:
                if used <= self._settings.graph_memory_bytes:
                    break
                if entry is keep:
                    continue
                used -= entry.manifest.served.bytes
                # The session is freed when the last micro-batch that runs in it lets go of it.
                entry.graph, entry.state = None, "dropped"
                dropped += 1
        _free(dropped)


def _free(dropped: int) -> None:
    """Free the memory of graphs that were dropped.

    TensorFlow's graphs refer to themselves, and Python would wait for many more objects before it
    looks for such circles. It looks at little: what there was before the fork is frozen.
    """
    if dropped:
        gc.collect()
        leave_freed()

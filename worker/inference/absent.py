"""Versions that were asked for and are not here: no manifest can be read, or it is another one."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from worker.jobs.roster import GraphReport
from worker.models.manifest import Manifest, pinned_name

_MOST = 100  # versions that are remembered; the latest ones


class Failure(NamedTuple):
    """How long a version could not be loaded. Times are monotonic."""

    since: float
    last: float


@dataclass
class _Absent:
    """A version that is not here."""

    name: str
    version: int
    digest: str  # of the version that is wanted; empty for any
    error: str
    since: float
    last: float


class AbsentVersions:
    """Remembers such versions, by `NAME@VERSION` or `NAME@VERSION#DIGEST`. Not safe for threads."""

    def __init__(self) -> None:
        self._absent: dict[str, _Absent] = {}

    def add(self, name: str, version: int, error: str, digest: str) -> None:
        """Note a version; with `digest`, that the one here is of another digest."""
        called, now = pinned_name(name, version, digest), time.monotonic()
        since = self._absent[called].since if called in self._absent else now
        self._absent.pop(called, None)
        self._absent[called] = _Absent(name, version, digest, error, since, now)
        while len(self._absent) > _MOST:
            del self._absent[next(iter(self._absent))]

    def remove(self, manifest: Manifest) -> None:
        """Forget a version, because it is here now."""
        for digest in ("", manifest.digest):
            self._absent.pop(pinned_name(manifest.name, manifest.version, digest), None)

    def failures(self) -> Iterator[tuple[str, Failure]]:
        """Give each version with how long it has been absent."""
        for called, absent in self._absent.items():
            yield called, Failure(absent.since, absent.last)

    def report(self) -> list[GraphReport]:
        """Return one row per version."""
        return [
            GraphReport(
                model=absent.name,
                version=absent.version,
                sha256="",
                digest=absent.digest,
                runtime="",
                state="failed",
                loads=0,
                load_seconds=0.0,
                bytes=0,
                error=absent.error,
            )
            for absent in self._absent.values()
        ]

"""Versions that are set aside: no worker loads them, and jobs that need them fail.

A version is set aside where loading it, its first runs or its runs in service went beyond their
limits of time and memory, or crashed the process, and where it is retired by force. All workers
and APIs see it in Redis. If Redis forgets, the version is tried again, in a process of its own
under the same limits (`worker.inference.trials`), and set aside again.

The sha256 of the graph stands beside it, so that another installation on the same Redis, or a
version that was published anew after its registry was lost, is not taken for what was meant.
"""

import json
import time
from dataclasses import asdict, dataclass

import redis
import structlog

from worker.errors import ModelSetAsideError
from worker.jobs.keys import key
from worker.models.generation import announce_change
from worker.settings import Settings

_log = structlog.get_logger(__name__)
_STRIKES_S = 3600  # for which a process that a version cost is remembered
RETIRED = "retired"  # the code of what an operator took out of use


@dataclass(frozen=True, kw_only=True)
class SetAside:
    """Why a version was set aside, and when."""

    code: str  # timed_out, out_of_memory, crashed or retired
    reason: str  # completes "NAME@VERSION was set aside: "; without full stop
    sha256: str  # of the graph that was meant; empty for any
    since_ms: int

    @classmethod
    def parse(cls, raw: bytes) -> "SetAside":
        """Read what stands in Redis."""
        found = json.loads(raw)
        return cls(**{name: found[name] for name in cls.__dataclass_fields__})

    def means(self, sha256: str) -> bool:
        """Whether it is about the graph of this sha256."""
        return self.sha256 in ("", sha256)

    def error(self, name: str, version: int | str) -> ModelSetAsideError:
        """Return the error of who asks for the version."""
        if self.code == RETIRED:
            return ModelSetAsideError(
                f"{name}@{version} was retired by force: name another version."
            )
        return ModelSetAsideError(
            f"{name}@{version} was set aside: {self.reason}. Name another version, or have it "
            f"tried again with `./permafrost models {name} --try-again {version}`."
        )


class SetAsideVersions:
    """Reads and writes which versions are set aside."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self._client = client
        self._most_strikes = settings.max_strikes

    def all(self) -> dict[str, SetAside]:
        """Return all of them by `NAME@VERSION`."""
        found = self._client.hgetall(key("aside"))
        return {version.decode(): SetAside.parse(raw) for version, raw in found.items()}

    def find(self, name: str, version: int, sha256: str) -> SetAside | None:
        """Return why a version is set aside, or None where it is not."""
        raw = self._client.hget(key("aside"), f"{name}@{version}")
        found = SetAside.parse(raw) if raw else None
        return found if found is not None and found.means(sha256) else None

    def add(self, name: str, version: int, *, sha256: str, code: str, reason: str) -> SetAside:
        """Set a version aside, and let workers know."""
        made = SetAside(code=code, reason=reason, sha256=sha256, since_ms=round(time.time() * 1000))
        _log.error(
            "version set aside", action="set_aside", model=f"{name}@{version}", reason=reason
        )
        self._client.hset(key("aside"), f"{name}@{version}", json.dumps(asdict(made)))
        announce_change(self._client)
        return made

    def strike(self, name: str, version: int, *, sha256: str, code: str, reason: str) -> bool:
        """Take note that a run of a version cost a worker process.

        Where that happens too often within an hour, the version is set aside; returns whether it
        is now.
        """
        counter = key("strikes", f"{name}@{version}")
        with self._client.pipeline() as pipe:
            pipe.set(counter, 0, nx=True, ex=_STRIKES_S)
            pipe.incr(counter)
            strikes = int(pipe.execute()[1])
        _log.warning(
            "strike", action="strike", model=f"{name}@{version}", strikes=strikes, reason=reason
        )
        if strikes < self._most_strikes:
            return False
        times = "once" if strikes == 1 else f"{strikes} times within an hour"
        self.add(name, version, sha256=sha256, code=code, reason=f"{reason}, {times}")
        return True

    def try_again(self, name: str, version: int) -> None:
        """Forget that a version was set aside; it is tried anew before it is served."""
        with self._client.pipeline() as pipe:
            pipe.hdel(key("aside"), f"{name}@{version}")
            pipe.hdel(key("proven"), f"{name}@{version}")
            pipe.delete(key("strikes", f"{name}@{version}"))
            pipe.execute()
        announce_change(self._client)

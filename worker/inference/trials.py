"""Trials of versions that were not tried yet, before they are loaded into a serving process.

A version that exceeds its limits or crashes does so in a process of its own, and is then set aside
for all workers. Versions that passed are noted in Redis, so that a later start costs nothing.
"""

import json
import signal
from contextlib import suppress
from pathlib import Path

import redis
import structlog

from worker.errors import ModelSetAsideError, ModelUnavailableError, PermafrostError
from worker.formatting import binary_size
from worker.inference.micro_batch import first_line
from worker.inference.trial import (
    TrialMemoryError,
    attempt,
    loading_bytes,
)
from worker.inference.trial_limits import end_in_time
from worker.inference.trial_server import Event, Order, Send, TrialEnd, TrialServer
from worker.jobs.keys import key
from worker.models.manifest import Manifest, Measured
from worker.models.set_aside import SetAside, SetAsideVersions
from worker.out_of_memory import is_out_of_memory
from worker.settings import Settings, get_settings

_log = structlog.get_logger(__name__)
_UNKNOWN = TrialEnd(overdue=False, waited=False, busy=False, signal=0, no_memory=False, words="")


class Trials:
    """Tries versions, and knows which are proven and which are set aside. Safe for threads."""

    def __init__(self, server: TrialServer, client: redis.Redis, settings: Settings) -> None:
        self._server = server
        self._client = client
        self._settings = settings
        self._versions = SetAsideVersions(client, settings)
        self._aside: dict[str, SetAside] = {}
        self.is_lost = False  # whether the trial server is gone, so that nothing can be tried

    def refresh(self) -> None:
        """Read which versions are set aside now."""
        with suppress(redis.RedisError):  # the last reading is good enough
            self._aside = self._versions.all()

    def check(self, manifest: Manifest) -> None:
        """Raise `ModelSetAsideError` where the version was set aside when `refresh` last read."""
        found = self._aside.get(f"{manifest.name}@{manifest.version}")
        if found is not None and found.means(manifest.sha256):
            raise found.error(manifest.name, manifest.version)

    def known(self, manifest: Manifest) -> Measured | None:
        """Return what was measured of a version under limits no wider than ours, if it was."""
        try:
            raw = self._client.hget(key("proven"), f"{manifest.name}@{manifest.version}")
        except redis.RedisError:
            return None
        found = json.loads(raw) if raw else {}
        if found.get("terms") != self._terms(manifest):
            return None
        return Measured.model_validate(found["measured"])

    def measure(self, manifest: Manifest, path: Path) -> Measured:
        """Try a version in a process of its own and return what was measured.

        Raises `ModelSetAsideError` where it goes beyond its limits, and `ModelUnavailableError`
        where it cannot be loaded or cannot be tried now.
        """
        most = self._settings.micro_batch
        while True:
            order = {
                "manifest": manifest.model_dump(mode="json", exclude={"report", "source"}),
                "path": str(path),
                "most_images": most,
            }
            end, last, doing = _UNKNOWN, {}, {}
            try:
                for event in self._server.events(order, self._settings.load_time_limit_s):
                    if isinstance(event, TrialEnd):
                        end = event
                    elif "doing" in event:
                        doing = event
                    else:
                        last = event
            except OSError as error:
                self.is_lost = True
                raise self._not_now(manifest, "the process that tries versions is gone") from error
            if "measured" in last:
                return self._proven(manifest, Measured.model_validate(last["measured"]))
            died = end.waited or end.signal not in (0, signal.SIGKILL)
            if doing.get("images", 0) > 1 and died:
                most = doing["images"] // 2  # a micro-batch killed it; a smaller one may pass
                continue
            self._judge(manifest, end, last, doing.get("doing", "loading it"))

    def _judge(self, manifest: Manifest, end: TrialEnd, last: Event, doing: str) -> None:
        """Raise the error for a version that did not pass its trial."""
        settings = self._settings
        _log.warning("trial failed", action="trial_failed", doing=doing, stderr=end.words)
        if "unavailable" in last:
            raise ModelUnavailableError(last["unavailable"])
        if last.get("out_of_memory") or end.waited or (end.no_memory and end.signal):
            needed = settings.run_memory_bytes
            if doing == "loading it":
                needed = loading_bytes(manifest, settings)
            raise self._beyond(
                manifest,
                "out_of_memory",
                f"{last.get('out_of_memory') or doing} needed more than the {binary_size(needed)} "
                "of memory that it may take (PERMAFROST_RUN_MEMORY_BYTES)",
            )
        if end.overdue and end.busy:
            raise self._not_now(manifest, "the machine has too much to do")
        if end.overdue:
            raise self._beyond(
                manifest,
                "timed_out",
                f"{doing} did not end within {settings.load_time_limit_s:g} s "
                "(PERMAFROST_LOAD_TIME_LIMIT_S)",
            )
        if end.signal and end.signal != signal.SIGKILL:
            name = signal.Signals(end.signal).name
            raise self._beyond(manifest, "crashed", f"its process crashed while {doing} ({name})")
        raise self._not_now(manifest, f"the process that tried it ended while {doing}")

    def _beyond(self, manifest: Manifest, code: str, reason: str) -> ModelSetAsideError:
        name, version = manifest.name, manifest.version
        made = SetAside(code=code, reason=reason, sha256=manifest.sha256, since_ms=0)
        with suppress(redis.RedisError):  # where that fails it is found again
            made = self._versions.add(
                name, version, sha256=manifest.sha256, code=code, reason=reason
            )
        self._aside = {**self._aside, f"{name}@{version}": made}
        return made.error(name, version)

    def _not_now(self, manifest: Manifest, why: str) -> ModelUnavailableError:
        return ModelUnavailableError(
            f"{manifest.name}@{manifest.version} could not be tried, because {why}: it is tried "
            "again soon."
        )

    def _proven(self, manifest: Manifest, measured: Measured) -> Measured:
        entry = json.dumps({"terms": self._terms(manifest), "measured": measured.model_dump()})
        with suppress(redis.RedisError):
            self._client.hset(key("proven"), f"{manifest.name}@{manifest.version}", entry)
        _log.info(
            "version tried",
            action="version_tried",
            model=f"{manifest.name}@{manifest.version}",
            **measured.model_dump(),
        )
        return measured

    def _terms(self, manifest: Manifest) -> list[str | int]:
        """Return the limits that a version was tried under; with others it is tried again."""
        settings = self._settings
        return [manifest.served.sha256, settings.micro_batch, settings.run_memory_bytes]


def work(order: Order, send: Send) -> None:
    """Try a version; done in a process forked from the fork server."""
    manifest, path = Manifest.model_validate(order["manifest"]), Path(order["path"])
    with suppress(OSError):  # `attempt` says so below
        path.read_bytes()  # so that waiting for a disk or a network is not taken for anything else
    end_in_time(order["limit_s"])
    try:
        measured = attempt(
            manifest,
            path,
            get_settings(),
            lambda doing, images: send({"doing": doing, "images": images}),
            most_images=order["most_images"],
        )
    except TrialMemoryError as error:
        send({"out_of_memory": str(error)})
    except PermafrostError as error:
        cause = error.__cause__
        if cause is not None and is_out_of_memory(cause):
            send({"out_of_memory": "loading it"})
        else:
            send({"unavailable": error.message})
    except Exception as error:
        if is_out_of_memory(error):
            send({"out_of_memory": "loading it"})
            return
        _log.exception("trial failed", action="trial_failed")
        called = f"{manifest.name}@{manifest.version}"
        send({"unavailable": f"{called} cannot be loaded: {first_line(error)}"})
    else:
        send({"measured": measured.model_dump()})

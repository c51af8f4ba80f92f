"""Claims: a worker's lease on items, which only their holder may end."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import Any

import redis

from worker.jobs.keys import key
from worker.jobs.records import Item, Kind, Lane, Outcome
from worker.jobs.scripts import Scripts
from worker.jobs.tickets import TICKET_MS
from worker.models.manifest import Manifest
from worker.settings import Settings

_CALL_SLICE_S = 0.25  # of waiting to be called, between looks at whether to go on
_MOST_UPLOAD_BYTES = 64 * 1024 * 1024  # of one claim together, so that its answer stays bounded


@dataclass(frozen=True, kw_only=True)
class ClaimedItem:
    """One item with what is needed to do it."""

    item: Item
    attempt: int  # 1 at the first
    kind: Kind
    options: Mapping[str, Any]
    upload: bytes
    path: bytes = b""  # of an image of a batch, as it was given

    @property
    def is_listing(self) -> bool:
        """Whether the item is no image but the listing of a batch's folder."""
        return self.kind is Kind.BATCH and self.item.number == 0


@dataclass(frozen=True, kw_only=True)
class Claim:
    """Items of one target that this worker holds."""

    number: int  # the fencing token
    lane: Lane
    target: str
    items: tuple[ClaimedItem, ...]
    tickets_needed: tuple[Lane, ...]  # lanes in which more waits and no ticket is on its way

    @property
    def pinned(self) -> str:
        """The version that the items wait for: `NAME@VERSION#DIGEST`."""
        return self.target.partition("/")[0]

    @property
    def version(self) -> str:
        """The same without its digest: `NAME@VERSION`."""
        return self.pinned.partition("#")[0]

    @property
    def digest(self) -> str:
        """The digest of the version that was pinned; empty for jobs of before there were any."""
        return self.pinned.partition("#")[2]

    def is_pinned_to(self, manifest: Manifest) -> bool:
        """Whether this version gives the answers that the items were accepted for."""
        return self.digest in ("", manifest.digest)


class Claims:
    """Claims items for one worker process and writes their outcomes."""

    def __init__(self, client: redis.Redis, settings: Settings, worker_id: str) -> None:
        self._client = client
        self._settings = settings
        self._worker_id = worker_id
        self._scripts = Scripts(client)
        self._claiming: tuple[int, redis.Redis, Scripts] | None = None
        self._held: set[int] = set()
        self._lock = threading.Lock()  # held while a claim is made
        self._in_doubt_until = float("-inf")  # monotonic

    @property
    def held(self) -> tuple[int, ...]:
        """Numbers of the claims that this process has not finished."""
        return tuple(self._held)

    def claim(
        self,
        lanes: Sequence[Lane],
        capacity: int,
        *,
        bulk: int | None = None,
        ticket: Lane | None = None,
        leave: Sequence[str] = (),
        wait_s: float = 0.0,
        efficient: int = 1,
    ) -> Claim | None:
        """Claim up to `capacity` items of one target, or None where nothing waits.

        `bulk` is the capacity for the bulk lane, where that is another.
        `ticket` is the lane whose ticket led here: from now on another one may be sent.
        `leave` names versions (`NAME@VERSION`, or `NAME@VERSION#DIGEST`) that are left to other
        workers.
        `wait_s`: where nothing waits, this process is called to work that arrives within this time;
        it must then wait in `called`.
        `efficient` is the number of images from which on a run is efficient: sharing the bulk lane
        with others does not make claims smaller than that.
        """
        capacities = dict.fromkeys(Lane, capacity)
        if bulk is not None:
            capacities[Lane.BULK] = bulk
        with self._lock:
            answer = self._claim(capacities, lanes, ticket, leave, wait_s, efficient)
            if answer is None:
                return None
            number, lane, target, tickets, jobs, rows = answer
            self._held.add(number)
        about = [
            (job_id.decode(), Kind(kind.decode()), json.loads(options))
            for job_id, kind, options in jobs
        ]
        return Claim(
            number=number,
            lane=Lane(lane.decode()),
            target=target.decode(),
            items=tuple(
                ClaimedItem(
                    item=Item(about[job][0], int(name[name.index(b":") + 1 :]), attempts - 1),
                    attempt=attempts,
                    kind=about[job][1],
                    options=about[job][2],
                    upload=upload,
                    path=path,
                )
                for name, attempts, job, upload, path in rows
            ),
            tickets_needed=tuple(Lane(raw.decode()) for raw in tickets),
        )

    def _claim(
        self,
        capacities: Mapping[Lane, int],
        lanes: Sequence[Lane],
        ticket: Lane | None,
        leave: Sequence[str],
        wait_s: float,
        efficient: int,
    ) -> Any:
        answer: Any = 0
        while answer == 0:  # only ended jobs were met so far
            try:
                answer = self._of_this_thread()[1].run(
                    "claim",
                    *chain.from_iterable((lane.value, capacities[lane]) for lane in lanes),
                    worker=self._worker_id,
                    lease_ms=round(self._settings.lease_s * 1000),
                    most_bytes=_MOST_UPLOAD_BYTES,
                    ticket_ms=TICKET_MS,
                    ticket=ticket.value if ticket else "",
                    left_to_others=" ".join(leave),
                    wait_ms=round(max(0.0, wait_s) * 1000),
                    efficient=efficient,
                )
            except redis.RedisError:
                # The claim may have been made all the same, or is when Redis goes on.
                self._in_doubt_until = float("inf")
                raise
            ticket = None
        return answer

    def _of_this_thread(self) -> tuple[redis.Redis, Scripts]:
        """Return the client for this thread's next command.

        The thread that was the first to claim keeps a connection of its own: redis-py looks after
        each one that it takes from its pool, which costs as much as a small command.
        """
        if self._claiming is None:
            own = self._client.client()
            self._claiming = threading.get_ident(), own, Scripts(own)
        thread, client, scripts = self._claiming
        if thread == threading.get_ident():
            return client, scripts
        return self._client, self._scripts

    def called(self, wait_s: float, *, until: Callable[[], bool]) -> bool:
        """Wait to be called, with the `wait_s` of `claim`; return whether this process was called.

        Waiting ends early where `until` returns True. Another process may have taken the work by
        the time that this one is called.
        """
        if wait_s <= 0:
            return False
        calls = key("call", self._worker_id)
        deadline = time.monotonic() + wait_s
        while not until() and (left := deadline - time.monotonic()) > 0:
            if self._of_this_thread()[0].blpop([calls], max(0.01, min(left, _CALL_SLICE_S))):
                return True
        return self.stop_waiting()

    def stop_waiting(self) -> bool:
        """No longer wait to be called; return whether this process was called."""
        with self._client.pipeline() as pipe:  # a transaction: nobody calls in between
            for lane in Lane:
                pipe.zrem(key("waiting", lane.value), self._worker_id)
            pipe.lpop(key("call", self._worker_id))
            return pipe.execute()[-1] is not None

    def renew(self) -> tuple[int, ...]:
        """Prolong the leases of everything held; return the claims that were lost meanwhile.

        After a claim of which the answer was lost, what it took is handed back.
        """
        in_doubt = time.monotonic() < self._in_doubt_until
        with self._lock if in_doubt else nullcontext():  # lest a claim be made meanwhile
            held = self.held
            if not held and not in_doubt:
                return ()
            lease_ms = round(self._settings.lease_s * 1000)
            worker = self._worker_id if in_doubt else ""
            lost_now = self._scripts.run("renew", *held, lease_ms=lease_ms, worker=worker)
            gone = {int(raw) for raw in lost_now}
            if in_doubt:  # until Redis has been well for a while
                end = time.monotonic() + self._settings.lease_s
                self._in_doubt_until = min(self._in_doubt_until, end)
        lost = gone & self._held  # what was finished during the call is not lost
        self._held -= lost
        return tuple(sorted(lost))

    def complete(self, claim: Claim, outcomes: Mapping[Item, Outcome]) -> list[str]:
        """Write outcomes; return the items refused because the claim no longer holds them."""
        args: list[str | bytes] = []
        for item, outcome in outcomes.items():
            if outcome.error is not None:
                args += [item.key, "error", _json(outcome.error), "", b""]
            else:
                label = outcome.label.encode("utf-8", "replace")
                args += [item.key, "result", _json(outcome.result), label, outcome.digest]
        ttl_ms = self._settings.result_ttl_s * 1000
        finished, *refused = self._of_this_thread()[1].run(
            "complete", *args, claim=claim.number, result_ms=ttl_ms
        )
        if finished:
            self._held.discard(claim.number)
        return [raw.decode() for raw in refused]

    def release(self, claim: Claim, reason: str, *, counts: bool) -> None:
        """Hand back what is left of a claim; `counts` says whether it was an attempt."""
        self._release(claim.number, reason, counts=counts)

    def _release(self, number: int, reason: str, *, counts: bool) -> None:
        self._scripts.run(
            "release",
            claim=number,
            counts=int(counts),
            max_attempts=self._settings.max_attempts,
            reason=reason,
            result_ms=self._settings.result_ttl_s * 1000,
        )
        self._held.discard(number)

    def release_all(self, reason: str) -> None:
        """Hand back everything held, as if it had not been claimed, because this process ends."""
        for number in self.held:
            self._release(number, reason, counts=False)

    def take_back(self, is_dead: Callable[[str], bool]) -> int:
        """Take back what dead workers hold; return the number of their claims.

        `is_dead` is asked about the id of each worker that holds a claim or waits to be called.
        """
        for lane in Lane:
            for raw in self._client.zrange(key("waiting", lane.value), 0, -1):
                if is_dead(raw.decode()):
                    self._client.zrem(key("waiting", lane.value), raw)
        numbers = [raw.decode() for raw in self._client.zrange(key("leases"), 0, -1)]
        with self._client.pipeline(transaction=False) as pipe:
            for number in numbers:
                pipe.hget(key("claim", number), "@worker")
            workers = {raw.decode() for raw in pipe.execute() if raw}
        dead = [worker for worker in workers if is_dead(worker)]
        if not dead:
            return 0
        taken = self._scripts.run(
            "bury",
            *dead,
            max_attempts=self._settings.max_attempts,
            result_ms=self._settings.result_ttl_s * 1000,
        )
        return int(taken)

    def abandon(self, claim: Claim) -> None:
        """No longer renew the claim: what is left of it is taken back when its lease runs out."""
        self._held.discard(claim.number)

    def holds(self, claim: Claim) -> bool:
        """Whether the claim still stands in Redis."""
        return self._client.zscore(key("leases"), claim.number) is not None


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)

"""Deliveries: the webhooks about ended jobs that are still to be sent, in Redis.

Written in the step in which the job ends, and removed only when the receiver has answered or is
given up, so that none is lost when a process dies; one may arrive twice, with the same id.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

import redis

from worker.contract.base import as_text, built, moment
from worker.contract.webhooks import JobEnded
from worker.jobs.keys import key
from worker.jobs.log_lines import LogLine
from worker.jobs.presentation import job_answer
from worker.jobs.records import Job, Kind
from worker.jobs.scripts import Scripts
from worker.settings import Settings

LEASE_SLACK_S = 10.0  # between the end of the longest attempt and that of its lease
State = Literal["delivered", "failed", "pending", "returned"]


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One webhook to send, held under a lease."""

    id: str
    token: int  # tells this lease from later ones
    url: str
    host: str
    attempts: int  # before this one
    body: bytes

    @property
    def message_id(self) -> str:
        """The id by which a receiver knows what arrives twice."""
        return f"msg_{self.id}"


class Due(NamedTuple):
    """What there is to do, and when there is more."""

    deliveries: list[Delivery]
    next_s: float | None  # until the next one is due


class Deliveries:
    """Takes what is due and writes what became of it."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self._client = client
        self._lease_ms = round((settings.webhook_timeout_s + LEASE_SLACK_S) * 1000)
        self._share = settings.webhook_host_concurrency
        self._scripts = Scripts(client)

    def take(self, most: int, under_way: Mapping[str, int]) -> Due:
        """Take webhooks that are due; `under_way` counts by host those that this process sends."""
        next_ms, *rows = self._scripts.run(
            "deliver",
            lease_ms=self._lease_ms,
            most=most,
            most_to_a_host=self._share,
            under_way=json.dumps(under_way),
        )
        deliveries = [self._delivery(row) for row in rows]
        return Due(deliveries, next_ms / 1000 if next_ms >= 0 else None)

    def settle(
        self, delivery: Delivery, state: State, *, error: str = "", wait_s: float = 0
    ) -> bool:
        """Write what became of an attempt; return whether it counted: the lease was still held."""
        settled = self._scripts.run(
            "delivered",
            delivery=delivery.id,
            token=delivery.token,
            state=state,
            wait_ms=round(wait_s * 1000),
            error=error,
            body=delivery.body,
        )
        return bool(settled)

    def wait(self, seconds: float) -> None:
        """Wait until something becomes due, for at most so many seconds."""
        self._client.blpop([key("due")], seconds)

    def waiting(self) -> int:
        """Return how many wait, those that are being sent included."""
        hosts = [raw.decode() for raw in self._client.zrange(key("receivers"), 0, -1)]
        with self._client.pipeline(transaction=False) as pipe:
            for host in hosts:
                pipe.zcard(key("webhooks", host))
            return sum(pipe.execute())

    def _delivery(self, row: list[bytes]) -> Delivery:
        fields = dict(zip(row[1::2], row[2::2], strict=True))
        return Delivery(
            id=row[0].decode(),
            token=int(fields[b"token"]),
            url=fields[b"url"].decode(),
            host=fields[b"host"].decode(),
            attempts=int(fields[b"attempts"]),
            body=fields.get(b"body") or self._body(fields),
        )

    def _body(self, fields: Mapping[bytes, bytes]) -> bytes:
        """Return what is sent, as Standard Webhooks has it: type, time and the job."""
        job_id = fields[b"job"].decode()
        job = Job.from_json(job_id, fields[b"record"])
        flat = json.loads(fields.get(b"labels") or b"[]") or []
        counts = {label: int(count) for label, count in zip(flat[::2], flat[1::2], strict=True)}
        labels = dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))
        log = None
        if job.kind in (Kind.FREEZE, Kind.INSPECTION):
            log = [LogLine.decode(line) for line in self._client.lrange(key("log", job_id), 0, -1)]
        envelope = built(
            JobEnded,
            type=f"job.{fields[b'status'].decode()}",
            timestamp=moment(int(fields[b"ended"])),
            data=job_answer(job, labels=labels, log=log),
        )
        return as_text(envelope).encode()

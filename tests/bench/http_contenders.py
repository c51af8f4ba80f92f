"""Contenders that are asked over HTTP by the load client."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.load import Outcome
from tests.bench.processor_time import between, used_ms
from tests.bench.rounds import Round
from tests.bench.shapes import Recorded
from tests.support.system import ROOT


@dataclass(frozen=True, kw_only=True)
class Photographs:
    """What is sent: files, and the labels of which a right answer names one first."""

    paths: Sequence[Path]
    labels: Sequence[Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class HttpContender:
    """A server and how it is asked."""

    key: str
    title: str
    port: int
    path: str
    photographs: Photographs
    roles: Callable[[], Mapping[str, Sequence[int]]]  # its processes, for the budget
    connections: int
    headers: str = ""
    form: str = "multipart"  # or raw, or batch
    images: int = 1  # of one request of the form batch
    recorded: Recorded | None = None  # what is sent in place of such a form, if anything
    every_s: float | None = None  # between two readings of a job, where those are recorded
    awake: Callable[[], AbstractContextManager[None]] = nullcontext  # lasts as long as its turn

    def turn(self, seconds: float) -> Round:
        """Have photographs classified for so long."""
        with self.awake():
            return self._turn(seconds)

    def _turn(self, seconds: float) -> Round:
        order: dict[str, Any] = {
            "port": self.port,
            "path": self.path,
            "headers": self.headers,
            "form": self.form,
            "photographs": [str(path) for path in self.photographs.paths],
            "labels": self.photographs.labels,
            "connections": self.connections,
            "seconds": seconds,
            "images": self.images,
        }
        if self.recorded is not None:
            order |= {
                "form": "recorded",
                "photographs": [str(path) for path in self.recorded.requests],
                "recorded_at": self.recorded.host,
                "reading": str(self.recorded.reading or ""),
                "every_s": self.every_s,
            }
        roles = self.roles()
        before = used_ms(roles)
        done = subprocess.run(
            [sys.executable, "-m", "tests.bench.load"],
            cwd=ROOT,
            input=json.dumps(order),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        outcome = Outcome(**json.loads(done.stdout))
        used = between(before, used_ms(roles))
        return Round(
            rate=outcome.rate,
            images=outcome.images,
            p50_ms=outcome.percentile(0.5) if outcome.latencies_ms else None,
            p99_ms=outcome.percentile(0.99) if outcome.latencies_ms else None,
            errors=outcome.errors,
            cpu_ms={"client": outcome.cpu_s * 1000, **used},
        )

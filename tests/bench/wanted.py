"""The numbers to reach, as ratios of two contenders in one run."""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.bench.rounds import Round, Spread, ratios
from tests.bench.table import Table

MANY, ONE, PARTS = "32 clients", "one client", ("32 clients", "one client")

Measured = Mapping[str, Mapping[str, Sequence[Round]]]  # by part and contender


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One ratio, of images per second or of median latencies, and what it must reach."""

    name: str
    what: str
    part: str
    above: str  # contenders
    below: str
    of: Literal["rate", "p50_ms", "api_ms"] = "rate"
    least: float | None = None
    most: float | None = None

    def ratio(self, measured: Measured) -> Spread | None:
        """Return the ratio; None where one of both was not measured."""
        rounds = measured.get(self.part, {})
        if self.above not in rounds or self.below not in rounds:
            return None
        pairs = [
            (getattr(above, self.of), getattr(below, self.of))
            for above, below in zip(rounds[self.above], rounds[self.below], strict=True)
        ]
        # Where nothing was answered there is a rate, of 0, but neither a latency nor a cost.
        known = [(math.inf if above is None else above, below) for above, below in pairs if below]
        if not known:
            return None if self.of == "rate" else Spread(math.inf, math.inf, math.inf)
        return ratios([above for above, _ in known], [below for _, below in known])

    def holds(self, ratio: Spread) -> bool | None:
        """Whether the median reaches it; None where nothing is asked for."""
        if self.least is not None:
            return ratio.median >= self.least
        return ratio.median <= self.most if self.most is not None else None

    @property
    def bound(self) -> str:
        """What is asked for, as it stands in tables."""
        if self.least is not None:
            return f">= {self.least:.2f}"
        return f"<= {self.most:.2f}" if self.most is not None else ""


def wanted(onnx_limit: float | None) -> list[Wanted]:
    """Return all ratios; `onnx_limit` is asked of folder batches with ONNX Runtime."""
    return [
        Wanted(
            name="litserve",
            what="one upload per request, over LitServe",
            part=MANY,
            above="permafrost",
            below="litserve",
            least=1.25,
        ),
        Wanted(
            name="litserve-onnx",
            what="  with ONNX Runtime, over LitServe",
            part=MANY,
            above="permafrost-onnx",
            below="litserve",
            least=1.6,
        ),
        Wanted(
            name="litserve-onnx-both",
            what="  with ONNX Runtime, over LitServe with it",
            part=MANY,
            above="permafrost-onnx",
            below="litserve-onnx",
        ),
        Wanted(
            name="celery",
            what="  over plain Celery",
            part=MANY,
            above="permafrost",
            below="celery",
            least=2.0,
        ),
        Wanted(
            name="flask",
            what="  over Flask with the graph loaded once",
            part=MANY,
            above="permafrost",
            below="flask",
        ),
        Wanted(
            name="bentoml", what="  over BentoML", part=MANY, above="permafrost", below="bentoml"
        ),
        Wanted(
            name="tutorial",
            what="  over the tutorial's web app",
            part=MANY,
            above="permafrost",
            below="tutorial",
        ),
        Wanted(name="limit", what="  of the limit", part=MANY, above="permafrost", below="limit"),
        Wanted(
            name="raw",
            what="  image as body instead of a form",
            part=MANY,
            above="permafrost-raw",
            below="permafrost",
        ),
        Wanted(
            name="one-flask",
            what="one client's median latency, over Flask's",
            part=ONE,
            above="permafrost",
            below="flask",
            of="p50_ms",
            most=1.1,
        ),
        Wanted(
            name="one-litserve",
            what="  over LitServe's with batching",
            part=ONE,
            above="permafrost",
            below="litserve",
            of="p50_ms",
            most=0.85,
        ),
        Wanted(
            name="one-litserve-best",
            what="  over LitServe's at its best, without",
            part=ONE,
            above="permafrost",
            below="litserve-one",
            of="p50_ms",
        ),
        Wanted(
            name="folder",
            what="folder batches, of the limit",
            part=MANY,
            above="folder",
            below="limit",
            least=0.9,
        ),
        Wanted(
            name="folder-onnx",
            what="  with ONNX Runtime, of TensorFlow's limit",
            part=MANY,
            above="folder-onnx",
            below="limit",
            least=onnx_limit,
        ),
        Wanted(
            name="folder-onnx-limit",
            what="  with ONNX Runtime, of its own limit",
            part=MANY,
            above="folder-onnx",
            below="limit-onnx",
        ),
        Wanted(
            name="bundle",
            what="32 uploads in one request, of the limit",
            part=MANY,
            above="bundle",
            below="limit",
            least=0.75,
        ),
        Wanted(
            name="bundle-alone",
            what="  one such request at a time",
            part=MANY,
            above="bundle-alone",
            below="limit",
            least=0.75,
        ),
    ]


def judge(
    table: Table, measured: Measured, asked: Sequence[Wanted], not_asked: Collection[str]
) -> dict[str, dict[str, object]]:
    """Add all ratios to the table and return them for the file of numbers."""
    found: dict[str, dict[str, object]] = {}
    for one in asked:
        ratio = one.ratio(measured)
        if ratio is None:
            continue
        holds = None if one.name in not_asked else one.holds(ratio)
        bound = one.bound if holds is not None else ""
        table.add(one.what, ratio.shown(2), bound, holds=holds)
        found[one.name] = {
            "ratio": ratio.median,
            "least": ratio.least,
            "greatest": ratio.greatest,
            "wanted": bound,
            "holds": holds,
        }
    return found

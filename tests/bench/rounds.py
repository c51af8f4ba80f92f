"""Rounds of a benchmark: everybody has turns, and what counts is compared within a round."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Round:
    """What one contender did in one turn."""

    rate: float  # images per second
    images: int
    p50_ms: float | None = None  # latency of a request; None where there are none
    p99_ms: float | None = None
    errors: dict[str, int] = field(default_factory=dict)  # by what was wrong
    cpu_ms: dict[str, float] = field(default_factory=dict)  # processor time, by process

    @property
    def api_ms(self) -> float | None:
        """Processor time of Permafrost's API processes per image; None where it has no part."""
        used = self.cpu_ms.get("api")
        return used / self.images if used is not None and self.images else None

    @property
    def all_ms(self) -> float | None:
        """Processor time of all of the server's processes per image."""
        used = sum(spent for name, spent in self.cpu_ms.items() if name != "client")
        return used / self.images if self.images else None


class Contender(Protocol):
    """Somebody who takes part."""

    @property
    def key(self) -> str:
        """What it is called in the numbers written down."""

    @property
    def title(self) -> str:
        """What it is called in tables."""

    def turn(self, seconds: float) -> Round:
        """Work for about so long."""


@dataclass(frozen=True)
class Spread:
    """The median of several numbers, the least and the greatest."""

    median: float
    least: float
    greatest: float

    def shown(self, digits: int = 0) -> str:
        """Return it as it stands in tables."""
        least, greatest = f"{self.least:,.{digits}f}", f"{self.greatest:,.{digits}f}"
        return f"{self.median:,.{digits}f} ({least}..{greatest})"


def spread(numbers: Sequence[float]) -> Spread:
    """Return the spread of one or more numbers."""
    return Spread(median(numbers), min(numbers), max(numbers))


def ratios(above: Sequence[float], below: Sequence[float]) -> Spread:
    """Return the spread of the ratios of two contenders' numbers, round by round.

    A machine that becomes faster or slower between two rounds changes both numbers of a round, and
    hardly their ratio; the ratio of two medians may be one of numbers from different rounds.
    """
    return spread([one / other if other else 0.0 for one, other in zip(above, below, strict=True)])


def interleaved(
    contenders: Sequence[Contender],
    count: int,
    seconds: float,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, list[Round]]:
    """Give every contender `count` turns, each round beginning with another of them."""
    done: dict[str, list[Round]] = {contender.key: [] for contender in contenders}
    for number in range(count):
        first = number * max(1, len(contenders) // count) % len(contenders)
        for contender in [*contenders[first:], *contenders[:first]]:
            done[contender.key].append(contender.turn(seconds))
        told(f"round {number + 1} of {count}")
    return done


def budget(rounds: Sequence[Round]) -> dict[str, float]:
    """Return the processor time per image in ms, by process, of all rounds together."""
    images = sum(one.images for one in rounds)
    names = dict.fromkeys(name for one in rounds for name in one.cpu_ms)
    return {
        name: sum(one.cpu_ms.get(name, 0.0) for one in rounds) / images if images else 0.0
        for name in names
    }

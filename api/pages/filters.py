"""Values as a person reads them, for the templates."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint

from api.pages.reference import prose
from worker import formatting
from worker.jobs.records import rfc3339
from worker.models.assumptions import LikelyPreprocessing, assumption_of, choices, republishing
from worker.models.formula import factor
from worker.models.manifest import Manifest

_TIMES = "\N{MULTIPLICATION SIGN}"


def duration(milliseconds: float) -> str:
    """Return a time span that is given in milliseconds."""
    return formatting.duration(milliseconds / 1000)


def age(milliseconds: float) -> str:
    """Return how long ago a moment was that is given in milliseconds since 1970."""
    return formatting.age(datetime.fromtimestamp(milliseconds / 1000, UTC))


def share(value: float) -> str:
    """Return the length of a score's bar, from `0%` to `100%`."""
    return f"{min(max(value, 0.0), 1.0) * 100:.2f}%"


def moment(milliseconds: int) -> str:
    """Return a moment in UTC, given in milliseconds since 1970: `2026-11-23 06:51:50 UTC`."""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M:%S} UTC"


def milliseconds(text: str | datetime) -> int:
    """Return an RFC 3339 time, or a datetime, as milliseconds since 1970."""
    found = datetime.fromisoformat(text) if isinstance(text, str) else text
    return round(found.timestamp() * 1000)


def tiny(value: float) -> str:
    """Return a small difference: `1.2e-7`, or `0` where there is none."""
    digits, _, power = f"{value:.1e}".partition("e")
    return f"{digits}e{int(power)}" if value else "0"


def shape(sides: list[Any] | None) -> str:
    """Return a tensor's shape, its sides set apart by multiplication signs."""
    if sides is None:
        return "unknown shape"
    return f" {_TIMES} ".join("?" if side is None else str(side) for side in sides) or "scalar"


def assumed(manifest: Manifest) -> str | None:
    """Return what is assumed of how a version prepares images, and what to type; None: nothing."""
    return assumption_of(manifest)


def meant(manifest: Manifest) -> list[LikelyPreprocessing]:
    """Return what may be meant where something is assumed, each with its command."""
    command = republishing(manifest.name, manifest.version)
    return choices(command, manifest.preprocessing, manifest.basis)


def register(blueprint: Blueprint) -> None:
    """Give the filters to every template of the application."""
    filters: dict[str, Callable[..., Any]] = {
        "age": age,
        "assumed": assumed,
        "binary_size": formatting.binary_size,
        "duration": duration,
        "factor": factor,
        "meant": meant,
        "milliseconds": milliseconds,
        "moment": moment,
        "number": formatting.number,
        "prose": prose,
        "rfc3339": rfc3339,
        "score": formatting.score,
        "shape": shape,
        "share": share,
        "size": formatting.size,
        "tiny": tiny,
    }
    for name, function in filters.items():
        blueprint.add_app_template_filter(function, name)

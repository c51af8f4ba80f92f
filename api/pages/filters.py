"""Values as a person reads them, for the templates."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint

from api.pages.reference import prose
from worker.jobs.records import rfc3339
from worker.models.assumptions import LikelyPreprocessing, assumption_of, choices, republishing
from worker.models.formula import factor
from worker.models.manifest import Manifest

_TIMES = "\N{MULTIPLICATION SIGN}"


def size(count: float) -> str:
    """Return a number of bytes in decimal units: `8.5 MB`."""
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def number(value: float) -> str:
    """Return a count with its thousands set apart: `62,378,344`."""
    return f"{value:,}"


def score(value: float) -> str:
    """Return a score in percent where it is a share, else as a number."""
    return f"{value:.1%}" if 0 <= value <= 1 else f"{value:.4g}"


def share(value: float) -> str:
    """Return the length of a score's bar, from `0%` to `100%`."""
    return f"{min(max(value, 0.0), 1.0) * 100:.2f}%"


def duration(milliseconds: float) -> str:
    """Return a time span: `85 ms`, `2.4 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`."""
    seconds = max(0.0, milliseconds / 1000)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    whole = round(seconds)
    for span, unit, below, lower in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= span:
            return f"{whole // span} {unit} {whole % span // below} {lower}"
    return f"{whole // 60} min {whole % 60} s"


def age(milliseconds: float, now: float | None = None) -> str:
    """Return how long ago a moment was, given in milliseconds since 1970: `5 min ago`.

    `now` is in seconds since 1970; None means now.
    """
    seconds = int((time.time() if now is None else now) - milliseconds / 1000)
    for span, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= span:
            return f"{seconds // span} {unit} ago"
    return "just now"


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
        "duration": duration,
        "factor": factor,
        "meant": meant,
        "milliseconds": milliseconds,
        "moment": moment,
        "number": number,
        "prose": prose,
        "rfc3339": rfc3339,
        "score": score,
        "shape": shape,
        "share": share,
        "size": size,
        "tiny": tiny,
    }
    for name, function in filters.items():
        blueprint.add_app_template_filter(function, name)

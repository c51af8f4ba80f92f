"""Values as a person reads them."""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.contract.image_jobs import JobBase

# Control characters, what changes the direction of writing, and what is no character at all:
# a file name or a label must not be able to move the cursor or to crash an encoder.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(value: object) -> str:
    """Return a value as one line of text; control characters become escapes; None becomes -."""
    if value is None:
        return "-"
    return _UNPRINTABLE.sub(
        lambda found: found[0].encode("unicode_escape", "surrogatepass").decode("ascii"), str(value)
    )


def size(count: float | None) -> str:
    """Return a number of bytes in decimal units: `8.5 MB`."""
    if count is None:
        return "-"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def number(value: float | None) -> str:
    """Return a count with its thousands set apart: `62,378,344`."""
    return "-" if value is None else f"{value:,}"


def counted(count: int, what: str) -> str:
    """Return `1 image` or `2 images`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def score(value: float | None) -> str:
    """Return a score in percent where it is a share, else as a number."""
    if value is None:
        return "-"
    return f"{value:.1%}" if 0 <= value <= 1 else f"{value:.4g}"


def duration(seconds: float | None) -> str:
    """Return a time span: `85 ms`, `2.4 s`, `3 min 20 s`, `2 h 5 min`, `4 d 3 h`."""
    if seconds is None:
        return "-"
    seconds = max(0.0, seconds)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    whole = round(seconds)
    for span, unit, below, lower in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= span:
            return f"{whole // span} {unit} {whole % span // below} {lower}"
    return f"{whole // 60} min {whole % 60} s"


def age(moment: datetime | None, now: datetime | None = None) -> str:
    """Return how long ago a time was, in its largest unit: `5 min ago`."""
    if moment is None:
        return "-"
    seconds = max(0, round(((now or datetime.now(UTC)) - moment).total_seconds()))
    for span, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= span:
            return f"{seconds // span} {unit} ago"
    return f"{seconds} s ago"


def elapsed(job: "JobBase", now: datetime | None = None) -> str:
    """Return how long a job has worked, or did."""
    if job.started_at is None:
        return "-"
    ended = job.finished_at or now or datetime.now(UTC)
    return duration((ended - job.started_at).total_seconds())

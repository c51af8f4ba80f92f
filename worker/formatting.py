"""Sizes, times, numbers and scores as a person reads them: on a page, in a terminal, in an error.

The pages' JavaScript writes them by `api/pages/static/format.js`; a test holds both to one table.
"""

from datetime import UTC, datetime


def size(count: float | None) -> str:
    """Return a number of bytes in decimal units: `8.5 MB`."""
    if count is None:
        return "-"
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def binary_size(count: float) -> str:
    """Return a number of bytes in binary units, as limits are set: `20 MiB`, `1.5 GiB`."""
    units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while abs(count) >= 1024 and len(units) > 1:
        count /= 1024
        del units[0]
    return f"{count:.1f}".removesuffix(".0") + f" {units[0]}"


def number(value: float | None) -> str:
    """Return a count with its thousands set apart: `62,378,344`."""
    return "-" if value is None else f"{value:,}"


def counted(count: int, what: str) -> str:
    """Return `1 image` or `2 images`."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def score(value: float | None) -> str:
    """Return a score in percent where it is between 0 and 1, else in four digits."""
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
    """Return how long ago a time was, in its largest unit: `5 min ago`; None becomes -."""
    if moment is None:
        return "-"
    seconds = int(((now or datetime.now(UTC)) - moment).total_seconds())
    for span, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s")):
        if seconds >= span:
            return f"{seconds // span} {unit} ago"
    return "just now"

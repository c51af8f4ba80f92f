"""The failed images of a batch, grouped by what went wrong."""

from dataclasses import dataclass
from typing import Final

from api.http.tabular import readable
from api.services import services
from worker.jobs.keys import key
from worker.jobs.records import Job

MOST_LISTED: Final = 500  # images on a page; the table to download has them all


@dataclass(frozen=True, kw_only=True)
class ImageFailure:
    """One reason, and the images that failed for it."""

    message: str
    paths: list[str]


def by_reason(batch: Job) -> list[ImageFailure]:
    """Return why images of a batch failed, the most frequent reason first."""
    numbers: list[int] = []
    for number in services().client.sscan_iter(key("failures", batch.id), count=MOST_LISTED):
        numbers.append(int(number))
        if len(numbers) == MOST_LISTED:
            break
    found: dict[str, list[str]] = {}
    rows = services().batches.rows(
        batch.id, batch.progress.total, wanted="failed", order=sorted(numbers)
    )
    for row in rows:
        message = (row.error or {}).get("message") or "It failed for an unknown reason."
        found.setdefault(message, []).append(readable(row.path))
    reasons = [ImageFailure(message=message, paths=paths) for message, paths in found.items()]
    return sorted(reasons, key=lambda reason: -len(reason.paths))

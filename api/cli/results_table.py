"""The table of results: one row per image, as JSON lines or CSV."""

import csv
import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from worker.errors import InvalidRequestError, PermafrostError

if TYPE_CHECKING:
    from worker.contract.batches import BatchRow
    from worker.contract.image_jobs import PredictionJob
    from worker.contract.predictions import Prediction
    from worker.contract.problems import Fault

COLUMNS = (
    *("path", "status", "label", "score", "predictions", "error"),
    *("model", "version", "sha256"),
)
SUFFIXES = (".csv", ".jsonl")

_MOST_WAITING = 50_000  # rows that are held until those before them have come

_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


class OutputError(PermafrostError):
    """The results cannot be written, though their place looked well before."""

    code = "output_failed"


@dataclass(kw_only=True, slots=True)
class Row:
    """What became of one image."""

    path: str  # without bytes that are not UTF-8
    status: str  # succeeded, failed or cancelled
    label: str | None = None
    score: float | None = None
    predictions: "list[Prediction] | None" = None
    error: "Fault | None" = None
    model: str | None = None  # None: no model has seen it
    version: int | None = None
    sha256: str | None = None  # of the model's graph

    @classmethod
    def of_batch(cls, row: "BatchRow") -> Self:
        """Return the row of an image of a batch."""
        return cls(
            path=row.path,
            status=row.status,
            label=row.label,
            score=row.score,
            predictions=row.predictions,
            error=row.error,
            model=row.model,
            version=row.version,
            sha256=row.sha256,
        )

    @classmethod
    def of_job(cls, path: str, job: "PredictionJob") -> Self:
        """Return the row of a prediction that has ended."""
        row = cls(
            path=path,
            status=job.status,
            error=job.error,
            model=job.model.name,
            version=job.model.version,
            sha256=job.model.sha256,
        )
        if job.status == "cancelled":
            row.error = cls.failure(path, "cancelled", "The job was cancelled.").error
        if job.result is not None:
            row.predictions = job.result.predictions
            for best in row.predictions[:1]:
                row.label, row.score = best.label, best.score
        return row

    @classmethod
    def failure(cls, path: str, code: str, message: str) -> Self:
        """Return the row of an image that no model has seen."""
        from worker.contract.problems import Fault  # noqa: PLC0415 - imports pydantic

        return cls(path=path, status="failed", error=Fault(code=code, message=message))

    def as_json(self) -> dict[str, Any]:
        """Return the row with its columns in order."""
        error = self.error and {"code": self.error.code, "message": self.error.message}
        return {
            "path": self.path,
            "status": self.status,
            "label": self.label,
            "score": self.score,
            "predictions": self._predictions(),
            "error": error,
            "model": self.model,
            "version": self.version,
            "sha256": self.sha256,
        }

    def _predictions(self) -> list[dict[str, Any]] | None:
        if self.predictions is None:
            return None
        return [{"label": one.label, "score": one.score} for one in self.predictions]

    def as_cells(self) -> list[str]:
        """Return the row for a CSV file, safe to open in a spreadsheet."""
        error = self.error and f"{self.error.code}: {self.error.message}"
        return [
            safe_cell(self.path),
            self.status,
            safe_cell(self.label or ""),
            "" if self.score is None else repr(self.score),
            "" if self.predictions is None else json.dumps(self._predictions(), ensure_ascii=False),
            safe_cell(error or ""),
            safe_cell(self.model or ""),
            "" if self.version is None else str(self.version),
            self.sha256 or "",
        ]


def in_order(rows: Iterator[Row], more: Iterable[Row], names: Iterable[str]) -> Iterator[Row]:
    """Give rows in the order of their names, and at last those that have none of them.

    Rows that are far from their places, such as those behind an image that has none, are given
    later than they should be rather than held in memory for ever.
    """
    waiting = {row.path: row for row in more}
    for name in names:
        while name not in waiting and len(waiting) < _MOST_WAITING:
            row = next(rows, None)
            if row is None:
                break
            waiting[row.path] = row
        if name in waiting:
            yield waiting.pop(name)
    yield from waiting.values()
    yield from rows


def safe_cell(text: str) -> str:
    """Return text that a spreadsheet shows and does not compute.

    Text that begins as a formula gets an apostrophe before it (OWASP, "CSV Injection").
    """
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def check_output(path: Path) -> None:
    """Raise `InvalidRequestError` where results cannot be written to `path`."""
    if path.suffix.lower() not in SUFFIXES:
        raise InvalidRequestError(
            f"{path} says by its name neither CSV nor JSON lines: end it with .csv or .jsonl."
        )
    if path.is_dir():
        raise InvalidRequestError(f"{path} is a folder.")
    if not os.access(path.parent, os.W_OK):
        raise InvalidRequestError(f"The folder {path.parent} is not there or cannot be written to.")


def write_results(path: Path, rows: Iterable[Row], *, bom: bool = False) -> None:
    """Write the rows to a .csv or .jsonl file, which appears when it is whole.

    `bom`: a .csv begins with a byte order mark, without which some spreadsheets do not take it for
    UTF-8.
    Raises `OutputError` where the disk refuses.
    """
    is_table = path.suffix.lower() == ".csv"
    write = _write_csv if is_table else _write_json_lines
    staged: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            encoding="utf-8-sig" if bom and is_table else "utf-8",
            errors="backslashreplace",
            newline="",
            dir=path.parent,
            prefix=f".{path.name}.",
            delete=False,
        ) as file:
            staged = Path(file.name)
            write(file, rows)
        staged.chmod(0o666 & ~_umask())
        staged.replace(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        if staged is not None:
            staged.unlink(missing_ok=True)


def _write_csv(file: Any, rows: Iterable[Row]) -> None:
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    writer.writerows(row.as_cells() for row in rows)


def _write_json_lines(file: Any, rows: Iterable[Row]) -> None:
    file.writelines(json.dumps(row.as_json(), ensure_ascii=False) + "\n" for row in rows)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

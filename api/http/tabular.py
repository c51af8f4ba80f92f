"""Results as JSON lines and as CSV that a spreadsheet opens safely."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Any

from worker.contract.batches import BatchRow
from worker.jobs.batches import ResultRow
from worker.jobs.records import PinnedModel

COLUMNS = tuple(BatchRow.model_fields)
# A spreadsheet takes a cell that begins with one of these for a formula (OWASP, "CSV Injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_LINES_AT_ONCE = 200
_CHARACTERS_AT_ONCE = 2**20


def row_json(row: ResultRow, model: PinnedModel) -> dict[str, Any]:
    """Return one finished item as `BatchRow` has it.

    In a path, a byte that is not UTF-8 is written as backslash, x and two digits.
    """
    predictions = (
        [{"label": label, "score": score} for label, score in row.result]
        if row.result is not None
        else None
    )
    first = predictions[0] if predictions else {"label": None, "score": None}
    return {
        "path": readable(row.path),
        "status": "failed" if row.error else "succeeded",
        "label": first["label"],
        "score": first["score"],
        "predictions": predictions,
        "error": row.error,
        "model": model.name,
        "version": model.version,
        "sha256": model.sha256,
    }


def readable(path: bytes) -> str:
    """Return a path as text; bytes that are not UTF-8 become backslash, x and two digits."""
    return path.decode("utf-8", "backslashreplace")


def json_lines(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Give the rows as JSON lines, many at once."""
    lines: list[str] = []
    held = 0
    for row in rows:
        # Escaped to ASCII, because many programs take U+2028 and its like for the end of a line.
        lines.append(json.dumps(row) + "\n")
        held += len(lines[-1])
        if len(lines) >= _LINES_AT_ONCE or held > _CHARACTERS_AT_ONCE:
            yield "".join(lines)
            lines, held = [], 0
    yield "".join(lines)


def csv_lines(rows: Iterable[dict[str, Any]], *, bom: bool = False) -> Iterator[str]:
    """Give the rows as CSV (RFC 4180), a header first, many at once.

    `bom`: behind a byte order mark, without which some spreadsheets do not take it for UTF-8.
    """
    buffer = io.StringIO()
    buffer.write("\ufeff" if bom else "")
    writer = csv.writer(buffer)
    writer.writerow(COLUMNS)
    for count, row in enumerate(rows, 1):
        writer.writerow([_cell(row[name]) for name in COLUMNS])
        if count % _LINES_AT_ONCE == 0 or buffer.tell() > _CHARACTERS_AT_ONCE:
            yield _taken(buffer)
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text


def _cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return "'" + value
    return value

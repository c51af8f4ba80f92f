"""Results of `classify` as a person sees them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from api.cli.output import Column, console, message, table
from api.cli.results import Row
from api.cli.text import counted, duration, number, printable, score

MOST_ROWS = 50  # more images than this are summed up by label
MOST_FAILURES = 20  # failures named below such a summary

_BAR_WIDTH = 24


def show_results(rows: Sequence[Row]) -> None:
    """Print the rows: one as bars, a few as a table, many as a summary by label."""
    if len(rows) == 1 and rows[0].predictions:
        _show_one(rows[0].predictions)
    elif len(rows) == 1 and rows[0].error:
        message(f"{rows[0].path}: {rows[0].error.get('message')}", style="red")
    elif len(rows) <= MOST_ROWS:
        _show_few(rows)
    else:
        _show_many(rows)


def summary(rows: Sequence[Row], *, skipped: int, seconds: float, output: Path | None) -> None:
    """Write to standard error what was done, where that is not seen anyway."""
    failed = sum(row.status != "succeeded" for row in rows)
    if len(rows) == 1 and output is None and not skipped:
        return
    rate = f", {len(rows) / seconds:.3g} per second" if len(rows) > MOST_ROWS else ""
    done = f"{number(len(rows) - failed)} classified, {number(failed)} failed"
    said = [f"{counted(len(rows), 'image')} in {duration(seconds)}{rate}: {done}."]
    if skipped:
        said.append(f"{counted(skipped, 'other file')} passed over.")
    if output is not None:
        said.append(f"Results are in {printable(output)}.")
    message(" ".join(said))


def _show_one(predictions: Sequence[dict[str, Any]]) -> None:
    out = console()
    drawn = Table.grid(padding=(0, 2))
    drawn.add_column(overflow="fold")
    drawn.add_column(justify="right", no_wrap=True)
    with_bars = out.is_terminal and out.width >= 2 * _BAR_WIDTH
    if with_bars:
        drawn.add_column(width=_BAR_WIDTH)
    for prediction in predictions:
        value = prediction.get("score")
        cells: list[Text | ProgressBar] = [
            Text(printable(prediction.get("label"))),
            Text(score(value)),
        ]
        if with_bars and value is not None and 0 <= value <= 1:
            cells.append(ProgressBar(total=1.0, completed=value, width=_BAR_WIDTH))
        drawn.add_row(*cells)
    out.print(drawn)


def _show_few(rows: Sequence[Row]) -> None:
    columns = (
        Column(title="image", wide=True),
        Column(title="label", wide=True),
        Column(title="score", justify="right"),
        Column(title="next", wide=True),
    )
    table(console(), columns, [_cells(row) for row in rows])


def _cells(row: Row) -> tuple[object, ...]:
    if row.error is not None:
        return (row.path, Text(printable(row.error.get("message")), style="red"), "", "")
    others = [
        f"{prediction.get('label')} {score(prediction.get('score'))}"
        for prediction in (row.predictions or [])[1:3]
    ]
    return (row.path, row.label, score(row.score), ", ".join(others))


def _show_many(rows: Sequence[Row]) -> None:
    out = console()
    counts: Counter[str] = Counter()
    scores: defaultdict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row.error is None:
            counts[row.label or "-"] += 1
            scores[row.label or "-"].append(row.score or 0.0)
    columns = (
        Column(title="label", wide=True),
        Column(title="images", justify="right"),
        Column(title="share", justify="right"),
        Column(title="mean score", justify="right"),
    )
    total = sum(counts.values()) or 1
    table(
        out,
        columns,
        [
            (label, number(count), f"{count / total:.1%}", score(sum(scores[label]) / count))
            for label, count in counts.most_common()
        ],
    )
    failures = [row for row in rows if row.error is not None]
    if failures:
        out.print()
        shown = [(row.path, (row.error or {}).get("message")) for row in failures[:MOST_FAILURES]]
        table(out, (Column(title="failed", wide=True), Column(title="why", wide=True)), shown)
        if len(failures) > len(shown):
            out.print(f"and {number(len(failures) - len(shown))} more")

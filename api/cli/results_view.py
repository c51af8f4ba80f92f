"""Results of `classify` as a person sees them."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from api.cli.escaping import escaped
from api.cli.output import Column, console, message, table, write_json_lines
from api.cli.results_table import Row, write_results
from worker.contract.predictions import Prediction
from worker.formatting import counted, duration, number, score

MOST_ROWS = 50  # more images than this are summed up by label
MOST_FAILURES = 20  # failures named below such a summary

_BAR_WIDTH = 24


class Tally:
    """What is shown of results: counts, and the first rows; the rest is not kept."""

    def __init__(self) -> None:
        self.total = 0
        self.failed = 0
        self.first: list[Row] = []
        self.failures: list[Row] = []
        self.labels: Counter[str] = Counter()
        self.scores: defaultdict[str, float] = defaultdict(float)  # sums

    def add(self, row: Row) -> None:
        """Count a row."""
        self.total += 1
        if len(self.first) < MOST_ROWS:
            self.first.append(row)
        if row.status == "succeeded":
            label = row.label or "-"
            self.labels[label] += 1
            self.scores[label] += row.score or 0.0
            return
        self.failed += 1
        if len(self.failures) < MOST_FAILURES:
            self.failures.append(row)


def show_results(tally: Tally) -> None:
    """Print the rows: one as bars, a few as a table, many as a summary by label."""
    if tally.total == 1 and tally.first[0].predictions:
        _show_one(tally.first[0].predictions)
    elif tally.total == 1 and tally.first[0].error:
        message(f"{tally.first[0].path}: {tally.first[0].error.message}", style="red")
    elif tally.total <= MOST_ROWS:
        _show_few(tally.first)
    else:
        _show_many(tally)


def pass_on(
    rows: Iterable[Row], tally: Tally, output: Path | None, *, bom: bool, as_json: bool
) -> None:
    """Count the rows, and write each to the output and to standard output as it comes."""

    def counted_rows() -> Iterator[Row]:
        for row in rows:
            tally.add(row)
            yield row

    passing: Iterator[Row] = counted_rows()
    if as_json:
        passing = write_json_lines(passing, Row.as_json)
    if output is not None:
        write_results(output, passing, bom=bom)
    else:
        for _ in passing:
            pass


def summary(
    tally: Tally,
    *,
    skipped: int,
    seconds: float | None,
    output: Path | None,
    retried: int | None = None,
) -> None:
    """Write to standard error what was done, where that is not seen anyway.

    `seconds`: None where nothing was classified now. `retried`: how many images were, where that is
    not all of them.
    """
    if tally.total == 1 and output is None and not skipped:
        return
    took = "" if seconds is None else f" in {duration(seconds)}"
    now = tally.total if retried is None else retried
    rate = f", {_per_second(now / seconds)}" if seconds and now > MOST_ROWS else ""
    if retried is not None:
        took = f", {number(retried)} of them tried again{took}"
    done = f"{number(tally.total - tally.failed)} classified, {number(tally.failed)} failed"
    said = [f"{counted(tally.total, 'image')}{took}{rate}: {done}."]
    if skipped:
        said.append(f"{counted(skipped, 'other file')} passed over.")
    if output is not None:
        said.append(f"Results are in {escaped(output)}.")
    message(" ".join(said))


def _per_second(rate: float) -> str:
    return f"{number(round(rate)) if rate >= 100 else f'{rate:.3g}'} per second"


def _show_one(predictions: Sequence[Prediction]) -> None:
    out = console()
    drawn = Table.grid(padding=(0, 2))
    drawn.add_column(overflow="fold")
    drawn.add_column(justify="right", no_wrap=True)
    with_bars = out.is_terminal and out.width >= 2 * _BAR_WIDTH
    if with_bars:
        drawn.add_column(width=_BAR_WIDTH)
    for prediction in predictions:
        value = prediction.score
        cells: list[Text | ProgressBar] = [Text(escaped(prediction.label)), Text(score(value))]
        if with_bars and 0 <= value <= 1:
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
        return (row.path, Text(escaped(row.error.message), style="red"), "", "")
    others = [f"{one.label} {score(one.score)}" for one in (row.predictions or [])[1:3]]
    return (row.path, row.label, score(row.score), ", ".join(others))


def _show_many(tally: Tally) -> None:
    out = console()
    show_labels(out, tally.labels, tally.scores)
    if tally.failures:
        out.print()
        shown = [(row.path, row.error and row.error.message) for row in tally.failures]
        table(out, (Column(title="failed", wide=True), Column(title="why", wide=True)), shown)
        if tally.failed > len(shown):
            out.print(f"and {number(tally.failed - len(shown))} more")


def show_labels(
    out: Console, labels: Mapping[str, int], scores: Mapping[str, float] | None = None
) -> None:
    """Print how often each label came first, with the sums of `scores` as means."""
    columns = [
        Column(title="label", wide=True),
        Column(title="images", justify="right"),
        Column(title="share", justify="right"),
    ]
    total = sum(labels.values()) or 1
    rows: list[tuple[object, ...]] = [
        (label, number(count), f"{count / total:.1%}")
        for label, count in Counter(labels).most_common()
    ]
    if scores is not None:
        columns.append(Column(title="mean score", justify="right"))
        rows = [
            (*row, score(scores[label] / labels[label]))
            for row, (label, _) in zip(rows, Counter(labels).most_common(), strict=True)
        ]
    table(out, columns, rows)

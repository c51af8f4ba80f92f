"""Writing: tables and sentences for a person, JSON for a script."""

import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TextIO, TypeVar

from rich import box
from rich.console import Console
from rich.file_proxy import FileProxy
from rich.table import Table
from rich.text import Text

from api.cli.escaping import escaped

T = TypeVar("T")

_GAP = 3  # columns between two columns of a table
_LEAST_OF_WIDE = 16  # columns that a folded column keeps
_WIDTH_OF_A_FILE = 1000  # columns; where nobody looks, nothing is folded or cut

STATUS_STYLES = {"succeeded": "green", "failed": "red", "cancelled": "yellow", "running": "cyan"}


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of a table. The one that is `wide` is folded where the terminal is narrow."""

    title: str
    justify: Literal["left", "right"] = "left"
    wide: bool = False


def console(stream: TextIO | None = None) -> Console:
    """Return a console on `stream`, standard output by default.

    It takes text as it stands (no markup), and colours only a terminal, never with NO_COLOR.
    """
    stream = stream or sys.stdout
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
    fixed = stream.isatty() or "COLUMNS" in os.environ
    return Console(
        file=stream,
        width=None if fixed else _WIDTH_OF_A_FILE,
        markup=False,
        highlight=False,
        emoji=False,
    )


def message(sentence: str, *, style: str = "") -> None:
    """Write a sentence to standard error, above a progress bar if there is one."""
    text = "\n".join(escaped(line) for line in sentence.splitlines())
    if isinstance(sys.stderr, FileProxy):  # a bar is shown: it must move before a line is written
        print(text, file=sys.stderr)
    else:
        console(sys.stderr).print(Text(text, style=style))


def write_json(document: Any) -> None:
    """Write one JSON document to standard output, in ASCII so that any terminal takes it."""
    sys.stdout.write(json.dumps(document, indent=2) + "\n")
    sys.stdout.flush()


def write_json_line(document: Any) -> None:
    """Write one line of JSON to standard output."""
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def write_json_lines(things: Iterable[T], as_json: Callable[[T], Any]) -> Iterator[T]:
    """Write a line of JSON for each thing that passes, and pass it on."""
    for thing in things:
        sys.stdout.write(json.dumps(as_json(thing)) + "\n")
        yield thing
    sys.stdout.flush()


def table(
    out: Console,
    columns: Sequence[Column],
    rows: Iterable[Sequence[object]],
    *,
    footer: Sequence[object] | None = None,
) -> None:
    """Print rows as a table; on a terminal too narrow for it, as blocks of `title  value`."""
    cells = [[_cell(value) for value in row] for row in rows]
    ends = [] if footer is None else [[_cell(value) for value in footer]]
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, show_footer=bool(footer))
    needed = _GAP * (len(columns) - 1)
    for number, column in enumerate(columns):
        lengths = [row[number].cell_len for row in [*cells, *ends]]
        least = max([len(column.title), *lengths])
        if column.wide:
            least = min(least, _LEAST_OF_WIDE)
        needed += least
        drawn.add_column(
            column.title,
            justify=column.justify,
            no_wrap=not column.wide,
            overflow="fold",
            min_width=least,
            footer=ends[0][number] if ends else "",
        )
    for row in cells:
        drawn.add_row(*row)
    if needed <= out.width:
        out.print(drawn)
        return
    for row in [*cells, *ends]:
        facts(out, [(column.title, value) for column, value in zip(columns, row, strict=True)])
        out.print()


def facts(out: Console, pairs: Iterable[tuple[str, object]]) -> None:
    """Print `name  value` lines; those whose value is None or empty are left out."""
    drawn = Table.grid(padding=(0, 2))
    drawn.add_column(no_wrap=True, style="dim" if out.is_terminal else "")
    drawn.add_column(overflow="fold")
    for name, value in pairs:
        if value not in (None, "", [], {}):
            drawn.add_row(name, _cell(value))
    out.print(drawn)


def status_text(status: object) -> Text:
    """Return a status in its colour."""
    word = escaped(status)
    return Text(word, style=STATUS_STYLES.get(word, ""))


def _cell(value: object) -> Text:
    return value if isinstance(value, Text) else Text(escaped(value))

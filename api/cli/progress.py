"""Progress bars: on standard error, and only where someone looks."""

import sys

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from api.cli.output import console
from api.cli.text import number

_NARROW = 60  # columns of a terminal below which the bar itself gives way to its numbers


class _Rate(ProgressColumn):
    """Images per second."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.3g}/s" if speed < 100 else f"{speed:,.0f}/s")


class _Failed(ProgressColumn):
    """How many images failed, once one did."""

    def render(self, task: Task) -> Text:
        failed = int(task.fields.get("failed", 0))
        return Text(f"{number(failed)} failed" if failed else "", style="red")


def image_progress(*, as_json: bool) -> Progress:
    """Return the progress of many images: count, rate, time left, failures."""
    narrow = console(sys.stderr).width < _NARROW
    bar = () if narrow else (BarColumn(),)
    return _progress(
        *bar, MofNCompleteColumn(), _Rate(), TimeRemainingColumn(), _Failed(), as_json=as_json
    )


def upload_progress(*, as_json: bool) -> Progress:
    """Return the progress of bytes on their way."""
    narrow = console(sys.stderr).width < _NARROW
    bar = () if narrow else (BarColumn(),)
    return _progress(
        TextColumn("{task.description}"),
        *bar,
        DownloadColumn(),
        TimeRemainingColumn(),
        as_json=as_json,
    )


def job_progress(*, as_json: bool) -> Progress:
    """Return the progress of one job, whose length nobody knows."""
    step = TextColumn("{task.description}", table_column=Column(no_wrap=True, overflow="ellipsis"))
    return _progress(SpinnerColumn(), step, TimeElapsedColumn(), as_json=as_json)


def _progress(*columns: ProgressColumn, as_json: bool) -> Progress:
    out = console(sys.stderr)
    hidden = not out.is_terminal or (as_json and sys.stdout.isatty())
    return Progress(*columns, console=out, transient=True, disable=hidden)

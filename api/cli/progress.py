"""Progress bars: on standard error, and only where someone looks."""

import sys
from types import TracebackType
from typing import Self

from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from api.cli.output import console
from worker.contract.image_jobs import BatchJob
from worker.formatting import duration, number

_NARROW = 60  # columns of a terminal below which the bar itself gives way to its numbers


class _Rate(ProgressColumn):
    """Images per second."""

    def render(self, task: Task) -> Text:
        speed = task.fields.get("rate", task.finished_speed or task.speed)
        return Text("" if speed is None else f"{speed:.3g}/s" if speed < 100 else f"{speed:,.0f}/s")


class _Notes(ProgressColumn):
    """How many images failed and how many files were passed over, once there are some."""

    def render(self, task: Task) -> Text:
        failed, skipped = (int(task.fields.get(name, 0)) for name in ("failed", "skipped"))
        notes = Text(f"{number(failed)} failed" if failed else "", style="red")
        if skipped:
            notes.append(f"{', ' if failed else ''}{number(skipped)} passed over", style="default")
        return notes


class _Left(ProgressColumn):
    """The time left, as the server tells it where it does."""

    def render(self, task: Task) -> Text:
        left = task.fields.get("left", task.time_remaining)
        return Text("" if left is None or task.finished else f"{duration(left)} left")


class BatchProgressBars:
    """Two bars: what is sent of a batch, and what of it is classified."""

    def __init__(self, *, as_json: bool) -> None:
        narrow = console(sys.stderr).width < _NARROW
        bar = () if narrow else (BarColumn(),)
        words = TextColumn("{task.description}")
        self._shown = _progress(
            *(words, *bar, MofNCompleteColumn(), _Rate(), _Left(), _Notes()), as_json=as_json
        )
        self._expected: int | None = None  # images, where it is known before all have come
        self._sending: TaskID | None = None
        self._classifying: TaskID | None = None

    def __enter__(self) -> Self:
        self._shown.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._shown.stop()

    def sending(self, total: int, done: int, skipped: int) -> None:
        """Show a bar for sending, of which `done` images are there from an earlier run."""
        self._sending = self._shown.add_task(
            "Sending", total=total, completed=done, skipped=skipped
        )
        self._expected = total

    def sent(self, images: int) -> None:
        """Count images that were sent now."""
        if self._sending is not None:
            self._shown.advance(self._sending, images)

    def update(self, job: BatchJob) -> None:
        """Show a batch as the server tells it."""
        progress = job.progress
        if self._classifying is None:
            self._classifying = self._shown.add_task("Classifying", total=None)
        self._shown.update(
            self._classifying,
            total=progress.total or None if progress.sealed else self._expected,
            completed=progress.succeeded + progress.failed,
            failed=progress.failed,
            skipped=progress.skipped,
            rate=progress.rate,
            left=progress.remaining_s,
            description="Waiting" if job.status == "queued" else "Classifying",
        )


def image_progress(*, as_json: bool) -> Progress:
    """Return the progress of many images: count, rate, time left, failures."""
    narrow = console(sys.stderr).width < _NARROW
    bar = () if narrow else (BarColumn(),)
    return _progress(
        *bar, MofNCompleteColumn(), _Rate(), TimeRemainingColumn(), _Notes(), as_json=as_json
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

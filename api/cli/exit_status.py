"""How a command ends: its exit code and its last sentence."""

import contextlib
import json
from collections.abc import Callable, Iterator
from enum import IntEnum
from typing import TYPE_CHECKING

import typer

from api.cli.program import as_typed_here
from worker.errors import InvalidRequestError, PermafrostError

if TYPE_CHECKING:
    from worker.contract.image_jobs import JobBase


class ExitCode(IntEnum):
    """What a script learns from a command's end."""

    OK = 0  # all of it was done
    FAILED = 1  # a job, or at least one image, failed
    USAGE = 2  # what was asked for is wrong; asking again unchanged will not help
    UNAVAILABLE = 3  # no server answers, or it has too much to do
    INTERRUPTED = 130  # Ctrl-C: 128 + SIGINT


def exit_code(error: PermafrostError) -> ExitCode:
    """Return the exit code that an error means."""
    if isinstance(error, InvalidRequestError) or error.status == 400:
        return ExitCode.USAGE
    if error.status in (429, 502, 503, 504):
        return ExitCode.UNAVAILABLE
    return ExitCode.FAILED


@contextlib.contextmanager
def reported(
    *, as_json: bool = False, interrupted: str | Callable[[], str] = "Stopped."
) -> Iterator[None]:
    """Turn errors and Ctrl-C inside into a sentence on standard error and an exit code.

    With `as_json`, standard output gets `{"error": {"code", "message"}}`.
    `interrupted`: what to say after Ctrl-C, or what returns it then.
    """
    try:
        yield
    except PermafrostError as error:
        fail(as_typed_here(error.message))
        if as_json:
            typer.echo(json.dumps({"error": {"code": error.code, "message": error.message}}))
        raise typer.Exit(exit_code(error)) from None
    except KeyboardInterrupt:
        said = interrupted if isinstance(interrupted, str) else interrupted()
        typer.echo(f"\n{said}", err=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def check_succeeded(job: "JobBase") -> None:
    """End with why a job that was followed did not succeed, if it did not."""
    if job.status != "succeeded":
        fail(job.error.message if job.error else f"The job was {job.status}.")
        raise typer.Exit(ExitCode.FAILED)


def fail(sentence: str) -> None:
    """Write why something failed to standard error, in red on a terminal."""
    from api.cli.output import message  # noqa: PLC0415 - imports rich: not for --help

    message(sentence, style="red")

"""Finds the files of this machine that make up a source to freeze or inspect."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from api.client.uploads import sendable
from worker.errors import InvalidRequestError, SourceError

if TYPE_CHECKING:
    from worker.sources.locate import Located


@dataclass(frozen=True)
class OnServer:
    """A path on the server's machine: below its sources folder, or below one of its folders."""

    path: str


class LocalSourceError(InvalidRequestError):
    """The path on this machine is no model, or not a whole one; nothing was sent."""

    code = SourceError.code


def is_here(source: Path) -> bool:
    """Return whether a source lies on this machine: as a file or folder, or as a checkpoint."""
    from worker.sources.checkpoint_files import is_checkpoint  # noqa: PLC0415 - only for these

    return source.exists() or is_checkpoint(source)


def local_source(source: Path, checkpoint: str | None = None) -> "Located":
    """Return what of this machine `source` means.

    `source` is a folder, a checkpoint's prefix, one file of a checkpoint, or a file that is a
    model by itself; `checkpoint` names the one that is meant in a folder. Raises
    `LocalSourceError` where it is no model or not whole.
    """
    from worker.sources.choice import SourceChoice  # noqa: PLC0415
    from worker.sources.locate import locate  # noqa: PLC0415 - most commands need none of it

    if not is_here(source):
        raise InvalidRequestError(
            f"There is no file, folder or checkpoint {sendable(str(source))} on this machine."
        )
    try:
        return locate(source, SourceChoice(checkpoint=checkpoint))
    except SourceError as error:
        raise LocalSourceError(error.message) from error

"""Which files of this machine make up a source that is to be frozen or inspected."""

from pathlib import Path

from api.cli.text import path_text
from worker.errors import InvalidRequestError, SourceError
from worker.sources.checkpoint_files import is_checkpoint
from worker.sources.choice import Choice
from worker.sources.locate import Located, locate


class LocalSourceError(InvalidRequestError):
    """What was given lies here, and is no model or not whole; nothing was sent."""

    code = SourceError.code


def local_source(source: str, checkpoint: str | None = None) -> Located | None:
    """Return what of this machine `source` means; None where nothing is here.

    `source` is a folder, a checkpoint's prefix, one file of a checkpoint, or a file that is a
    model by itself; `checkpoint` names the one that is meant in a folder. Raises
    `LocalSourceError` where it is here but is no model or not whole.
    """
    path = Path(source)
    if not path.exists() and not is_checkpoint(path):
        if source.startswith(("./", "../", "~")) or ".." in path.parts:
            raise InvalidRequestError(
                f"There is no file, folder or checkpoint {path_text(source)}."
            )
        return None
    try:
        return locate(path, Choice(checkpoint=checkpoint))
    except SourceError as error:
        raise LocalSourceError(error.message) from error

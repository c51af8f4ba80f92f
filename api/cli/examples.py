"""Examples of this machine, pictures whose label is known, on their way to a server."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from api.client.uploads import path_text
from worker.errors import InvalidRequestError
from worker.formatting import counted
from worker.images.examples import Example

if TYPE_CHECKING:
    from api.client import LocalFile


def read_examples(place: str | None, pairs: Iterable[str]) -> "list[LocalFile]":
    """Return the files to send for `--examples` and each FILE=LABEL of `--example`.

    Of many pictures as many are taken as a server tries, from all labels alike. Empty where `place`
    is not on this machine, so that it is looked for on the server.
    """
    from api.cli.output import message  # noqa: PLC0415 - imports rich
    from api.client.examples import (  # noqa: PLC0415
        archive_of_examples,
        example_files,
        local_examples,
    )

    found = [_pair(pair) for pair in pairs]
    path = None if place is None else Path(place)
    if path is not None and (archive := archive_of_examples(path)):
        if found:
            raise InvalidRequestError("Give --examples ARCHIVE or --example, not both.")
        return [archive]
    if path is not None and path.exists():
        found += local_examples(path)
    elif path is not None:
        if found or path.is_absolute():
            raise InvalidRequestError(f"--examples: {path_text(str(path))} is not there.")
        message(
            f"{path_text(str(path))} is not on this machine; "
            "the server looks for the examples below its sources folder."
        )
    files = example_files(found)
    if found and len(files) <= len(found):  # the last one is their table
        taken = len(files) - 1
        message(f"Of {counted(len(found), 'example')} {taken} are sent, of each label alike.")
    return files


def _pair(pair: str) -> Example:
    file, equals, label = pair.rpartition("=")
    if not equals or not file or not label.strip():
        raise InvalidRequestError(
            f"--example takes FILE=LABEL, such as photo.jpg=cat; '{path_text(pair)}' is not that."
        )
    if not Path(file).is_file():
        raise InvalidRequestError(f"--example: there is no picture {path_text(file)}.")
    return Example(path=Path(file), label=label.strip())

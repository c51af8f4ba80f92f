"""Examples of this machine, pictures whose label is known, on their way to a server."""

import csv
import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from api.cli.text import counted, path_text
from worker.errors import ExamplesError, InvalidRequestError
from worker.images.examples import Example, find_examples, spread

if TYPE_CHECKING:
    from api.client import LocalFile

_TABLE = "examples.csv"
_LONGEST_NAME = 80  # characters


def read_examples(place: str | None, pairs: Iterable[str]) -> "list[LocalFile]":
    """Return the files to send for `--examples` and each FILE=LABEL of `--example`.

    Of many pictures as many are taken as a server tries, from all labels alike. Empty where `place`
    is not on this machine, so that it is looked for on the server.
    """
    from api.cli.output import message  # noqa: PLC0415 - imports rich
    from api.client import LocalFile  # noqa: PLC0415 - imports httpx

    found = [_pair(pair) for pair in pairs]
    path = None if place is None else Path(place)
    if path is not None and path.is_file() and path.suffix.lower() != ".csv":
        if found:
            raise InvalidRequestError("Give --examples ARCHIVE or --example, not both.")
        return [LocalFile(path=path, name=path.name, is_example=True)]
    if path is not None and path.exists():
        try:
            found += find_examples(path, is_own=True)
        except ExamplesError as error:
            raise InvalidRequestError(f"--examples: {error.message}") from None
    elif path is not None:
        if found:
            raise InvalidRequestError(f"--examples: {path_text(str(path))} is not there.")
        message(
            f"{path_text(str(path))} is not on this machine; "
            "the server looks for the examples below its sources folder."
        )
    if not found:
        return []
    taken = spread(found)
    if len(taken) < len(found):
        message(f"Of {counted(len(found), 'example')} {len(taken)} are sent, of each label alike.")
    names = [
        f"{number:03}-{re.sub(r'[^A-Za-z0-9._-]', '_', example.path.name)[-_LONGEST_NAME:]}"
        for number, example in enumerate(taken, 1)
    ]
    table = io.StringIO()
    csv.writer(table).writerows(
        [("file", "label")]
        + [(name, example.label) for name, example in zip(names, taken, strict=True)]
    )
    return [
        *(
            LocalFile(path=example.path, name=name, is_example=True)
            for name, example in zip(names, taken, strict=True)
        ),
        LocalFile(
            path=Path(_TABLE), name=_TABLE, is_example=True, content=table.getvalue().encode()
        ),
    ]


def _pair(pair: str) -> Example:
    file, equals, label = pair.rpartition("=")
    if not equals or not file or not label.strip():
        raise InvalidRequestError(
            f"--example takes FILE=LABEL, such as photo.jpg=cat; '{path_text(pair)}' is not that."
        )
    if not Path(file).is_file():
        raise InvalidRequestError(f"--example: there is no picture {path_text(file)}.")
    return Example(path=Path(file), label=label.strip())

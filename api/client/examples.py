"""Examples (pictures whose label is known) of this machine, as files to send to a server."""

import csv
import io
import re
from collections.abc import Sequence
from pathlib import Path

from api.client.uploads import LocalFile
from worker.errors import ExamplesError, InvalidRequestError
from worker.images.examples import Example, find_examples, spread

_TABLE = "examples.csv"
_LONGEST_NAME = 80  # characters


def archive_of_examples(path: Path) -> LocalFile | None:
    """Return the file where `path` is an archive of examples, and not a folder or a table."""
    if not path.is_file() or path.suffix.lower() == ".csv":
        return None
    return LocalFile(path=path, name=path.name, is_example=True)


def local_examples(place: Path) -> list[Example]:
    """Return the examples of a folder or a table; raise `InvalidRequestError` without any."""
    try:
        return find_examples(place, is_own=True)
    except ExamplesError as error:
        raise InvalidRequestError(f"--examples: {error.message}") from None


def example_files(found: Sequence[Example]) -> list[LocalFile]:
    """Return the files to send for examples: a table of their labels after the pictures.

    Of many pictures as many are taken as a server tries, from all labels alike.
    """
    taken = spread([*found])
    if not taken:
        return []
    names = [
        f"{number:03}-{re.sub(r'[^A-Za-z0-9._-]', '_', example.path.name)[-_LONGEST_NAME:]}"
        for number, example in enumerate(taken, 1)
    ]
    rows = zip(names, (example.label for example in taken), strict=True)
    table = io.StringIO()
    csv.writer(table).writerows([("file", "label"), *rows])
    pictures = zip(names, taken, strict=True)
    return [
        *(LocalFile(path=one.path, name=name, is_example=True) for name, one in pictures),
        LocalFile(
            path=Path(_TABLE), name=_TABLE, is_example=True, content=table.getvalue().encode()
        ),
    ]

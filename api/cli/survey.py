"""What the paths that a person named hold."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field

from api.client.images import STDIN, ImageEntry, Skipped, walk
from api.client.uploads import path_text
from worker.errors import InvalidRequestError


@dataclass(kw_only=True)
class Survey:
    """What the paths that a person named hold, without keeping a name of each image."""

    images: int = 0
    skipped: int = 0
    problems: list[ImageEntry] = field(default_factory=list)
    digest: str = ""  # changes with the names, sizes and times of the images


def check(paths: Sequence[str]) -> None:
    """Raise `InvalidRequestError` where a path does not exist or is neither file nor folder."""
    if STDIN in paths and len(paths) > 1:
        raise InvalidRequestError(
            "'-' is standard input and stands alone; a file of that name is './-'."
        )
    for path in paths:
        if path != STDIN and not os.path.isdir(path) and not os.path.isfile(path):
            raise InvalidRequestError(
                f"{path_text(path)} is neither a file nor a folder."
                if os.path.lexists(path)
                else f"There is no file or folder {path_text(path)}."
            )


def survey(paths: Sequence[str]) -> Survey:
    """Walk once through everything and sum it up."""
    found, skipped, digest = Survey(), Skipped(), hashlib.sha256()
    for path in paths:
        digest.update(os.fsencode(os.path.abspath(path)) + b"\0")
    for entry in walk(paths, skipped):
        digest.update(f"{entry.name}\0{entry.size} {entry.modified_ns}\0".encode())
        if entry.error is None:
            found.images += 1
        else:
            found.problems.append(entry)
    found.skipped, found.digest = skipped.count, digest.hexdigest()
    return found

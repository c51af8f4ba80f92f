"""Which files of this machine are images to classify."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from api.cli.text import path_text
from worker.errors import InvalidRequestError

# The kinds that workers decode, and three that cameras write and workers do not: a photograph that
# cannot be classified is a failed row that says so, not a file passed over in silence.
SUFFIXES = frozenset(
    [
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".mpo",
        ".png",
        ".gif",
        ".webp",
        ".bmp",
        ".tif",
        ".tiff",
        ".heic",
        ".heif",
        ".avif",
    ]
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One path that gets a row: an image, or a folder that cannot be read."""

    path: str
    error: str | None = None


@dataclass(kw_only=True)
class Found:
    """The images below the paths that a person named, in order."""

    entries: list[Entry] = field(default_factory=list)
    skipped: int = 0  # files in folders that are no images


def find(paths: Sequence[str]) -> Found:
    """Find the images: a file stands for itself, a folder for all images in and below it.

    Folders are sorted by name. Links to folders are not followed, except one that was named.
    Raises `InvalidRequestError` where a path does not exist or is neither file nor folder.
    """
    found = Found()
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - str keeps names that are not UTF-8 as they are
            _walk(path, found)
        elif os.path.isfile(path):  # noqa: PTH113
            found.entries.append(Entry(path=path))
        else:
            there = os.path.lexists(path)
            raise InvalidRequestError(
                f"{path_text(path)} is neither a file nor a folder."
                if there
                else f"There is no file or folder {path_text(path)}."
            )
    return found


def _walk(folder: str, found: Found) -> None:
    try:
        with os.scandir(folder) as listing:
            children = sorted(listing, key=lambda child: os.fsencode(child.name))
    except OSError as error:
        sentence = f"The folder cannot be read: {error.strerror or error}."
        found.entries.append(Entry(path=folder, error=sentence))
        return
    for child in children:
        if child.is_dir(follow_symlinks=False):
            _walk(child.path, found)
        elif _is_image(child):
            found.entries.append(Entry(path=child.path))
        elif not child.is_dir():
            found.skipped += 1


def _is_image(child: "os.DirEntry[str]") -> bool:
    if child.name.startswith("._") or not child.is_file():
        return False  # what macOS keeps beside a file on foreign disks is named `._photo.jpg`
    suffix = Path(child.name).suffix.lower()
    return suffix in SUFFIXES if suffix else _begins_as_image(child.path)


def _begins_as_image(path: str) -> bool:
    from worker.images.decode import sniff  # noqa: PLC0415 - imports Pillow

    try:
        with Path(path).open("rb") as file:
            return sniff(file.read(16)) is not None
    except OSError:
        return False

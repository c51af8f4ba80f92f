"""Finds the files of this machine that are to be classified."""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from api.client.uploads import path_text
from worker.images.folders import is_named_like_an_image
from worker.images.kinds import HEAD, is_picture, refusal, sniff

STDIN = "-"  # as a path: the image comes from standard input


class ImageEntry(NamedTuple):
    """One path that gets a row: an image, or what cannot be read."""

    path: str
    name: str  # what its row is called, without bytes that are not UTF-8
    size: int = 0  # bytes
    modified_ns: int = 0
    error: str | None = None
    code: str = "unreadable"  # of the error


@dataclass
class Skipped:
    """Files in folders that are no images, counted as they are passed over."""

    count: int = 0


def walk(paths: Sequence[str], skipped: Skipped | None = None) -> Iterator[ImageEntry]:
    """Give the images: a file stands for itself, a folder for all images in and below it.

    A folder comes in the order of the bytes of its paths, as the server lists it, and the names are
    relative to a folder that was named alone. Links to folders are not followed, except one
    that was named. No more is held in memory than one folder's listing.
    """
    skipped = skipped or Skipped()
    for path in dict.fromkeys(paths):
        if path == STDIN:
            yield ImageEntry(path, path)
        elif os.path.isdir(path):
            yield from _folder(path, "" if len(paths) == 1 else os.path.join(path, ""), skipped)
        else:
            yield _named(path)


def _folder(folder: str, prefix: str, skipped: Skipped) -> Iterator[ImageEntry]:
    todo = [iter([(folder, prefix, True)])]  # a stack, because folders may be nested very deep
    while todo:
        path, name, is_folder = next(todo[-1], ("", "", None))
        if is_folder is None:
            todo.pop()
        elif is_folder:
            try:
                todo.append(_children(path, name))
            except OSError as error:
                sentence = f"The folder cannot be read: {error.strerror or error}."
                yield ImageEntry(path, path_text(name or path).rstrip("/"), error=sentence)
        else:
            entry = _file(path, name)
            if entry is None:
                skipped.count += 1
            else:
                yield entry


def _children(folder: str, prefix: str) -> Iterator[tuple[str, str, bool]]:
    """Give path, name and whether it is a folder, of all that is in a folder, sorted.

    A folder is sorted with the `/` that its images have behind its name, as on the server.
    """
    with os.scandir(folder) as listing:
        found = [
            (child.name + "/", True) if child.is_dir(follow_symlinks=False) else (child.name, False)
            for child in listing
        ]
    found.sort(key=lambda child: os.fsencode(child[0]))
    return ((os.path.join(folder, name), prefix + name, is_folder) for name, is_folder in found)


def _file(path: str, name: str) -> ImageEntry | None:
    """Return a file found in a folder, or None where it is no image."""
    try:
        state = os.stat(path)
    except OSError:
        return None
    if not stat.S_ISREG(state.st_mode) or not _is_image(path):
        return None
    return _entry(path, name, state)


def _named(path: str) -> ImageEntry:
    """Return a file that was named: whatever it is, it gets a row."""
    try:
        state = os.stat(path)
    except OSError as error:
        return ImageEntry(
            path, path_text(path), error=f"The file cannot be read: {error.strerror}."
        )
    entry = _entry(path, path, state)
    if entry.error or is_named_like_an_image(os.fsencode(path)):
        return entry
    try:
        head = _head(path)
    except OSError as error:
        return entry._replace(error=f"The file cannot be read: {error.strerror}.")
    if sniff(head) is not None:
        return entry
    refused = refusal(head)
    return entry._replace(error=refused.message, code=refused.code)


def _entry(path: str, name: str, state: os.stat_result) -> ImageEntry:
    error = None if os.access(path, os.R_OK) else "The file cannot be read: Permission denied."
    return ImageEntry(path, path_text(name), state.st_size, state.st_mtime_ns, error)


def _is_image(path: str) -> bool:
    if is_named_like_an_image(os.fsencode(path)):
        return True
    try:
        return is_picture(_head(path))
    except OSError:
        return False


def _head(path: str) -> bytes:
    with Path(path).open("rb") as file:
        return file.read(HEAD)

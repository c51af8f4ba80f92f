"""Listing the images of a folder, in one order that is always the same."""

import fnmatch
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.errors import ImageError, ImageTooLargeError, InvalidRequestError, NotFoundError
from worker.images.decode import sniff

# A file so named is meant to be an image; one that cannot be read is a failed row, not skipped. The
# last three are what telephones write and workers cannot decode.
SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".gif", ".webp", ".bmp"),
        *(".tif", ".tiff", ".heic", ".heif", ".avif"),
    }
)


@dataclass
class Skipped:
    """Files that were passed over, counted as the walk goes."""

    count: int = 0


def find_folder(name: str, roots: Sequence[Path]) -> tuple[Path, Path]:
    """Return a configured root and the folder `name` below it.

    `name` is relative to a root, or absolute below one; `.` is the root itself. Links that lead out
    of the root are refused. Raises `InvalidRequestError` or `NotFoundError`.
    """
    if "\0" in name or ".." in Path(name).parts or not name:
        raise InvalidRequestError("folder must be a path below a folders root, without '..'.")
    for root in roots:
        path = root / name
        if path.is_dir() and path.resolve().is_relative_to(root.resolve()):
            return root, path
    raise NotFoundError(
        f"There is no folder '{name[:200]}' under the folders root "
        f"({', '.join(str(root) for root in roots)})."
    )


def walk(
    folder: Path,
    *,
    root: Path,
    recursive: bool = True,
    patterns: Sequence[str] = (),
    after: str | None = None,
    skipped: Skipped | None = None,
) -> Iterator[str]:
    """Give the paths of images below `folder`, relative to it, in the order of their bytes.

    A file counts as an image by its suffix or by its first bytes; others are counted in `skipped`.
    `patterns` (as in a shell, matched against the relative path and the name) narrow the choice.
    Links to files are followed while they stay under `root`; links to folders are not, so there are
    no loops. Names that are not UTF-8 come with surrogate escapes. `after` resumes behind a path
    that an earlier walk gave.
    """
    counter = skipped if skipped is not None else Skipped()
    real_root = os.path.realpath(root)
    resume = os.fsencode(after) if after is not None else None
    for path in _files(os.fsencode(folder), b"", recursive):
        if resume is not None and _order(path) <= _order(resume):
            continue
        name = os.fsdecode(path)
        if patterns and not _matches(name, patterns):
            continue
        if _is_image(os.path.join(os.fsencode(folder), path), real_root):
            yield name
        else:
            counter.count += 1


def is_named_like_an_image(path: bytes) -> bool:
    """Whether a path has an image's suffix; macOS's resource forks (`._NAME`) are no images."""
    suffix = os.path.splitext(path)[1].lower()
    return os.fsdecode(suffix) in SUFFIXES and not os.path.basename(path).startswith(b"._")


def read_image(folder: Path, path: bytes, *, root: Path, most_bytes: int) -> bytes:
    """Return the bytes of an image that `walk` found; raise `ImageError` where that fails now."""
    full = os.path.join(os.fsencode(folder), path)
    try:
        if not _inside(full, os.path.realpath(root)):
            raise ImageError("The file is a link that leads out of the folders root.")
        with open(full, "rb") as file:
            content = file.read(most_bytes + 1)
    except FileNotFoundError:
        raise ImageError("The file is no longer there.") from None
    except OSError as error:
        raise ImageError(f"The file cannot be read: {error.strerror}.") from None
    if len(content) > most_bytes:
        raise ImageTooLargeError(
            f"The file is larger than one image may be ({most_bytes / 2**20:.1f} MiB)."
        )
    return content


def _inside(path: bytes, real_root: str) -> bool:
    if not os.path.islink(path):
        return True
    target = os.path.realpath(os.fsdecode(path))
    return os.path.commonpath([target, real_root]) == real_root


def _order(path: bytes) -> list[bytes]:
    return path.split(b"/")


def _files(base: bytes, below: bytes, recursive: bool) -> Iterator[bytes]:
    """Give relative paths of what is not a folder, depth first, sorted by the bytes of names."""
    try:
        with os.scandir(os.path.join(base, below)) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError:  # removed or closed to us while we walk
        return
    for entry in found:
        path = os.path.join(below, entry.name)
        if entry.is_dir(follow_symlinks=False):
            if recursive:
                yield from _files(base, path, recursive)
        else:
            yield path


def _matches(name: str, patterns: Sequence[str]) -> bool:
    last = name.rpartition("/")[2]
    return any(fnmatch.fnmatch(name, p) or fnmatch.fnmatch(last, p) for p in patterns)


def _is_image(path: bytes, real_root: str) -> bool:
    try:
        if not _inside(path, real_root):
            return False
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        if is_named_like_an_image(path):
            return True
        with open(path, "rb") as file:
            return sniff(file.read(16)) is not None
    except OSError:
        return False

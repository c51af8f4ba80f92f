"""Listing the images of a folder, in one order that is always the same."""

import fnmatch
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from worker.errors import ImageError, ImageFileTooLargeError, InvalidRequestError, NotFoundError
from worker.formatting import binary_size
from worker.images.kinds import HEAD, is_picture

# A file so named is meant to be an image; one that cannot be read is a failed row, not skipped. The
# last two lines are pictures that are not accepted, which the folder's owner is to know.
SUFFIXES = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".gif", ".webp", ".bmp"),
        *(".tif", ".tiff"),
        *(".heic", ".heif", ".avif", ".jxl", ".jp2", ".j2k", ".psd"),
        *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"),
    }
)

_FILE, _LINK, _OTHER = b"f", b"l", b"o"  # what an entry is, of those that are no folder


@dataclass
class SkippedFiles:
    """Files that were passed over, counted as the walk goes."""

    count: int = 0

    def take(self) -> int:
        """Return the count and begin again from nought."""
        taken, self.count = self.count, 0
        return taken


@dataclass(frozen=True)
class Folder:
    """A folder under a configured root, found once and read many times."""

    root: bytes  # without links
    path: bytes

    def read(self, path: bytes, *, most_bytes: int) -> bytes:
        """Return the bytes of an image that `walk` found; raise `ImageError` where that fails now.

        What lies there may have changed since: it is opened without waiting, and only read where
        it is still a file under the root.
        """
        full = os.path.join(self.path, path)
        try:
            if os.path.islink(full) and not _inside(full, self.root):
                raise ImageError("The file is a link that leads out of the folders root.")
            descriptor = os.open(full, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                about = os.fstat(descriptor)
                if not stat.S_ISREG(about.st_mode):
                    raise ImageError("There is no file of that name any more.")
                if about.st_size > most_bytes:
                    raise ImageFileTooLargeError(
                        f"The file has {binary_size(about.st_size)}; "
                        f"at most {binary_size(most_bytes)} are allowed."
                    )
                return _read(descriptor, about.st_size, most_bytes)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            raise ImageError("The file is no longer there.") from None
        except OSError as error:
            raise ImageError(f"The file cannot be read: {error.strerror}.") from None


def find_folder(name: str, roots: Sequence[Path]) -> Folder:
    """Return the folder `name` below a configured root.

    `name` is relative to a root, or absolute below one; `.` is the root itself. Links that lead out
    of the root are refused. Raises `InvalidRequestError` or `NotFoundError`.
    """
    if "\0" in name or ".." in Path(name).parts or not name or not _is_path(name):
        raise InvalidRequestError("folder must be a path below a folders root, without '..'.")
    for root in roots:
        real_root = os.path.realpath(os.fsencode(root))
        path = os.path.join(os.fsencode(root), os.fsencode(name))
        # False too for names that no file system takes.
        if os.path.isdir(path) and _inside(path, real_root):
            return Folder(real_root, path)
    raise NotFoundError(
        f"There is no folder '{name[:200]}' under the folders root "
        f"({', '.join(str(root) for root in roots)})."
    )


def walk(
    folder: Folder,
    *,
    recursive: bool = True,
    patterns: Sequence[str] = (),
    after: bytes | None = None,
    skipped: SkippedFiles | None = None,
) -> Iterator[bytes]:
    """Give the paths of images below `folder`, relative to it, in the order of their bytes.

    A file counts as an image by its suffix or by its first bytes; others are counted in `skipped`,
    and so are folders that cannot be read. `patterns` (as in a shell, matched against the relative
    path and the name) narrow the choice. Links to files are followed while they stay under the
    root; links to folders are not, so there are no loops. `after` resumes behind a path that an
    earlier walk gave. Raises `InvalidRequestError` where the folder itself cannot be read.
    """
    counter = skipped if skipped is not None else SkippedFiles()
    for path, kind in _entries(folder.path, recursive, after, counter):
        if patterns and not _matches(os.fsdecode(path), patterns):
            continue
        if _is_image(os.path.join(folder.path, path), kind, folder.root):
            yield path
        else:
            counter.count += 1


def is_named_like_an_image(path: bytes) -> bool:
    """Whether a path has an image's suffix; macOS's resource forks (`._NAME`) are no images."""
    name = path.rpartition(b"/")[2]
    suffix = os.path.splitext(name)[1].lower()
    return os.fsdecode(suffix) in SUFFIXES and not name.startswith(b"._")


def _is_path(name: str) -> bool:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell
        return False
    return True


def _inside(path: bytes, real_root: bytes) -> bool:
    target = os.path.realpath(path)
    return os.path.commonpath([target, real_root]) == real_root


def _read(descriptor: int, size: int, most_bytes: int) -> bytes:
    """Read a file that may grow meanwhile; a regular file comes whole in one read nearly always."""
    pieces: list[bytes] = []
    total = 0
    while total <= most_bytes:
        piece = os.read(descriptor, max(size + 1 - total, 65536))
        if not piece:
            return b"".join(pieces) if len(pieces) != 1 else pieces[0]
        pieces.append(piece)
        total += len(piece)
    raise ImageFileTooLargeError(f"The file is larger than {binary_size(most_bytes)}.")


def _entries(
    base: bytes, recursive: bool, after: bytes | None, counter: SkippedFiles
) -> Iterator[tuple[bytes, bytes]]:
    """Give relative paths of what is no folder, with what it is, sorted by the bytes of the paths.

    A folder's name is sorted with the `/` that its paths have behind it: so the order within each
    folder and the order of whole paths are one and the same, and a walk can be resumed by comparing
    paths. One list per level is kept, not a call, so depth costs nothing.
    """
    try:
        levels = [iter(_scan(base, b""))]
    except OSError as error:
        raise InvalidRequestError(f"The folder cannot be read: {error.strerror}.") from None
    while levels:
        found = next(levels[-1], None)
        if found is None:
            levels.pop()
            continue
        path, kind = found
        if not path.endswith(b"/"):
            if after is None or path > after:
                yield path, kind
            continue
        if not recursive or (after is not None and path < after and not after.startswith(path)):
            continue
        try:
            levels.append(iter(_scan(base, path)))
        except OSError:  # removed or closed to us while we walk
            counter.count += 1


def _scan(base: bytes, below: bytes) -> list[tuple[bytes, bytes]]:
    found = []
    with os.scandir(os.path.join(base, below)) as entries:
        for entry in entries:
            path = below + entry.name
            if entry.is_dir(follow_symlinks=False):
                found.append((path + b"/", b""))
            elif entry.is_file(follow_symlinks=False):
                found.append((path, _FILE))
            else:
                found.append((path, _LINK if entry.is_symlink() else _OTHER))
    found.sort()
    return found


def _matches(name: str, patterns: Sequence[str]) -> bool:
    last = name.rpartition("/")[2]
    return any(fnmatch.fnmatch(name, p) or fnmatch.fnmatch(last, p) for p in patterns)


def _is_image(path: bytes, kind: bytes, real_root: bytes) -> bool:
    try:
        if kind == _LINK:
            if not (_inside(path, real_root) and stat.S_ISREG(os.stat(path).st_mode)):
                return False
        elif kind != _FILE:
            return False
        if is_named_like_an_image(path):
            return True
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return is_picture(os.read(descriptor, HEAD))
        finally:
            os.close(descriptor)
    except OSError:
        return False

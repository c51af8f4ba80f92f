"""Unpacking archives that hold models. Imports no TensorFlow.

What an archive says of itself is not believed: names must stay below the folder, only files and
folders are made, and bytes are counted as they come out, not as the archive promises them.
"""

import os
from pathlib import Path, PurePosixPath

from freezing.sources.contents import Content, sniff
from worker import errors
from worker.archives import ArchiveLimits, Member, members
from worker.errors import SourceError

_CHUNK_BYTES = 1024 * 1024
_LONGEST_NAME = 255  # bytes between two '/', as file systems allow
_DEEPEST = 32  # folders
_LEFT_OUT = "__MACOSX"  # what macOS adds of its own


class ArchiveTooLargeError(SourceError):
    """An archive holds more, or unpacks to more, than is allowed."""

    code = errors.ArchiveTooLargeError.code


class BadArchiveError(SourceError):
    """An archive is damaged, encrypted or empty, or compressed in a way that is not read."""

    code = errors.BadArchiveError.code


def unpacked(source: Path, folder: Path, limits: ArchiveLimits) -> Path:
    """Return `source`; where it is an archive, or a folder of nothing else, what that unpacks to.

    That is written below `folder`, which must not be there. Links and devices are left out. Raises
    `BadArchiveError` where the archive is damaged, encrypted or empty, `SourceError` where a name
    would lead out of the folder, and `ArchiveTooLargeError` past a limit.
    """
    archive = _archive(source)
    if archive is None:
        return source
    folder.mkdir()
    with archive.open("rb") as stream:
        try:
            for member in members(stream, limits, f"'{archive.name}'"):
                path = _place(folder, os.fsdecode(member.path), archive.name)
                if path is not None:
                    _write(member, path)
        except _NAMES_THAT_CLASH:
            raise SourceError(f"'{archive.name}' holds a name as a file and as a folder.") from None
        except errors.ArchiveTooLargeError as error:
            raise ArchiveTooLargeError(error.message) from None
        except (errors.BadArchiveError, errors.UnsupportedMediaError) as error:
            raise BadArchiveError(error.message) from None
    return folder


_NAMES_THAT_CLASH = (FileExistsError, NotADirectoryError, IsADirectoryError)


def _archive(source: Path) -> Path | None:
    """Return the archive that the source is, or the only file of the folder that it is."""
    if source.is_dir():
        entries = list(source.iterdir())
        if len(entries) != 1:
            return None
        source = entries[0]
    return source if source.is_file() and sniff(source) is Content.ARCHIVE else None


def _place(folder: Path, name: str, called: str) -> Path | None:
    """Return where the member is written; None where it is left out."""
    path = PurePosixPath(name.replace("\\", "/"))
    if (
        path.is_absolute()
        or ".." in path.parts
        or not path.name
        or "\0" in name
        or path.parts[0].endswith(":")
        or len(path.parts) > _DEEPEST
        or any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.parts)
    ):
        raise SourceError(
            f"'{called}' holds the name '{name[:80]}', which is none of a file inside a folder."
        )
    if path.parts[0] == _LEFT_OUT or path.name.startswith("._"):
        return None
    return folder / path


def _write(member: Member, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as written:
        while chunk := member.read(_CHUNK_BYTES):
            written.write(chunk)

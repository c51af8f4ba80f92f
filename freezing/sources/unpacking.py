"""Unpacking archives that hold models. Imports no TensorFlow.

What an archive says of itself is not believed: names must stay below the folder, only files and
folders are made, and bytes are counted as they come out, not as the archive promises them.
"""

import os
import shutil
from pathlib import Path, PurePosixPath

from worker import errors
from worker.archives import ArchiveLimits, ArchiveMember, members, unpacked_pieces
from worker.errors import SourceError
from worker.sources.contents import MODELS, FileContent, sniff
from worker.sources.foreign import refusal
from worker.sources.label_files import MOST_BYTES, MOST_FOUND, may_hold_labels
from worker.sources.listing import files_in, folders_in, is_left_out

_CHUNK_BYTES = 1024 * 1024
_LONGEST_NAME = 255  # bytes between two '/', as file systems allow
_DEEPEST = 32  # folders
_MOST_BESIDE = 100  # files beside an archive in a folder that means it
_COMPRESSED_SUFFIXES = (".gz", ".bz2", ".xz")
_PACKED = (FileContent.ARCHIVE, FileContent.COMPRESSED)


class SourceArchiveTooLargeError(SourceError):
    """An archive holds more, or unpacks to more, than is allowed."""

    code = errors.ArchiveTooLargeError.code


class BadSourceArchiveError(SourceError):
    """An archive is damaged, encrypted or empty, or compressed in a way that is not read."""

    code = errors.BadArchiveError.code


def unpacked(source: Path, folder: Path, limits: ArchiveLimits) -> Path:
    """Return `source`; where it is an archive, or a folder of nothing else, what that unpacks to.

    That is written below `folder`, which must not be there, into a folder that is called like the
    archive. A file that is compressed by itself is unpacked like an archive of one file. Labels
    that lie beside are put to what was unpacked. Links and devices are left out.

    Raises `BadSourceArchiveError` where the archive is damaged, encrypted or empty, `SourceError`
    where it is no archive but a model of something else, or a name would lead out of the folder,
    and `SourceArchiveTooLargeError` past a limit.
    """
    packed = _packed(source)
    if packed is None:
        return source
    wrong = refusal(packed)
    if wrong is not None:
        raise wrong
    target = folder / (packed.name.partition(".")[0] or "model")
    target.mkdir(parents=True)
    try:
        if sniff(packed) is FileContent.COMPRESSED:
            _unpack_file(packed, target, limits)
        else:
            _unpack_archive(packed, target, limits)
    except errors.ArchiveTooLargeError as error:
        raise SourceArchiveTooLargeError(error.message) from None
    except (errors.BadArchiveError, errors.UnsupportedMediaError) as error:
        raise BadSourceArchiveError(error.message) from None
    _bring_labels(packed, target)
    return target


def _unpack_archive(archive: Path, folder: Path, limits: ArchiveLimits) -> None:
    with archive.open("rb") as stream:
        try:
            for member in members(stream, limits, f"'{archive.name}'"):
                path = _place(folder, os.fsdecode(member.path), archive.name)
                if path is not None:
                    _write(member, path)
        except _NAMES_THAT_CLASH:
            raise SourceError(f"'{archive.name}' holds a name as a file and as a folder.") from None


def _unpack_file(file: Path, folder: Path, limits: ArchiveLimits) -> None:
    name = file.stem if file.suffix.lower() in _COMPRESSED_SUFFIXES else file.name
    with file.open("rb") as stream, (folder / name).open("xb") as written:
        for piece in unpacked_pieces(stream, limits, f"'{file.name}'"):
            written.write(piece)


def _bring_labels(packed: Path, folder: Path) -> None:
    """Copy what may be labels beside an archive; what it holds of the same name stays."""
    beside = [file for file in files_in(packed.parent) if may_hold_labels(file)]
    for file in beside[:MOST_FOUND]:
        target = folder / file.name
        small = not file.is_symlink() and file.stat().st_size <= MOST_BYTES
        if small and not target.exists():
            shutil.copyfile(file, target)


_NAMES_THAT_CLASH = (FileExistsError, NotADirectoryError, IsADirectoryError)


def _packed(source: Path) -> Path | None:
    """Return the archive or compressed file that the source is, or that is all of its folder.

    Labels may lie beside it.
    """
    if not source.is_dir():
        return source if source.is_file() and sniff(source) in _PACKED else None
    files = files_in(source)
    if folders_in(source) or len(files) > _MOST_BESIDE:
        return None
    kinds = {file: sniff(file) for file in files}
    found = [file for file, kind in kinds.items() if kind in _PACKED]
    return found[0] if len(found) == 1 and not set(kinds.values()) & MODELS else None


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
    if any(is_left_out(part) for part in path.parts):
        return None
    return folder / path


def _write(member: ArchiveMember, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as written:
        while chunk := member.read(_CHUNK_BYTES):
            written.write(chunk)

"""Files of an uploaded source, kept in Redis in chunks until the job ends.

They go through Redis because the API and the freezing worker need not share a disk. Chunks of a job
that was not accepted are deleted at once, or by a sweeper where the process that stored them died.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import redis
import structlog

from worker.errors import InvalidRequestError, PermafrostError, ShareExceededError, TooLargeError
from worker.formatting import binary_size
from worker.jobs.keys import key
from worker.jobs.scripts import Scripts

_log = structlog.get_logger(__name__)

CHUNK_BYTES = 4 * 1024 * 1024
_UNACCEPTED_TTL_S = 3600  # for the case that no sweeper runs
_LONGEST_PART = 255  # bytes between two '/', as file systems allow
MOST_FILES = 1000
# The folder of sample images among a source's files, each in a numbered folder of its own.
SAMPLES_FOLDER = ".samples"
EXAMPLES_FOLDER = ".examples"  # and pictures whose label is known, as they were sent


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file whose pieces are in Redis."""

    name: str  # relative, with '/' between folders
    size: int  # bytes
    chunks: int


def store_files(
    client: redis.Redis,
    job_id: str,
    files: Iterable[tuple[str, BinaryIO]],
    most_bytes: int,
    *,
    owner: str = "",
    owner_bytes: int = 0,
    lease_s: float = 60.0,
) -> tuple[StoredFile, ...]:
    """Store files, named by relative paths, under a job that is still to be accepted.

    They count for the client `owner`, for whom at most `owner_bytes` may lie in Redis (0: any), and
    are given up where nothing is heard of them for `lease_s`. Memory used does not grow with their
    size. Raises `InvalidRequestError` for a bad or repeated name or an empty list, `TooLargeError`
    past `most_bytes` in all, and `ShareExceededError`; nothing is kept then.
    """
    scripts = Scripts(client)
    stored: list[StoredFile] = []
    names = _Names()
    total = 0
    try:
        for place, (name, stream) in enumerate(files):
            if place >= MOST_FILES:
                raise InvalidRequestError(f"More than {MOST_FILES} files were sent.")
            checked = names.add(name)
            size = chunks = 0
            while piece := stream.read(CHUNK_BYTES):
                total += len(piece)
                if total > most_bytes:
                    raise TooLargeError(
                        f"The files are larger than {binary_size(most_bytes)} together: put them "
                        "under a sources root of the server and name their path instead."
                    )
                kept, held = scripts.run(
                    "store_piece",
                    job=job_id,
                    place=place,
                    chunk=chunks,
                    client=owner,
                    client_bytes=owner_bytes,
                    give_up_ms=round(lease_s * 1000),
                    expire_ms=_UNACCEPTED_TTL_S * 1000,
                    content=piece,
                )
                if not kept:
                    raise too_much_held(held=held, more=len(piece), most=owner_bytes)
                size, chunks = size + len(piece), chunks + 1
            stored.append(StoredFile(name=checked, size=size, chunks=chunks))
    except BaseException:
        drop_files(client, job_id)
        raise
    if not stored:
        raise InvalidRequestError("No file was sent: send the model's files as `files`.")
    return tuple(stored)


def too_much_held(*, held: int, more: int, most: int) -> PermafrostError:
    """Return the error that says why `more` bytes of a client that has `held` are too many."""
    if more > most:
        return TooLargeError(
            f"At most {binary_size(most)} of uploads may wait here for one client, and this one "
            f"has {binary_size(more)}: name a folder or a path that the server can read instead."
        )
    return ShareExceededError(
        f"{binary_size(held)} of your uploads wait here already, and one client may have "
        f"{binary_size(most)}, so that others find room: wait until some are done, then send it "
        "again."
    )


def drop_files(client: redis.Redis, job_id: str) -> None:
    """Delete the pieces of files that no job was accepted for."""
    try:
        Scripts(client).run("drop_pieces", job=job_id)
    except redis.RedisError as error:  # a sweeper deletes them; why we are here matters more
        _log.warning("pieces not deleted", action="pieces_not_deleted", error=str(error))


def fetch_files(client: redis.Redis, job_id: str, folder: Path) -> list[Path]:
    """Write a job's files below `folder` and return their paths.

    Raises `InvalidRequestError` where a piece is missing, which happens once the job has ended.
    """
    paths = []
    for raw_name, raw in client.hgetall(key("files", job_id)).items():
        place, size, chunks = (int(part) for part in raw.split(b":"))
        path = folder / _check_name(raw_name.decode())
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            for chunk in range(chunks):
                piece = client.get(key("chunk", job_id, place, chunk))
                if piece is None:
                    break
                file.write(piece)
            if file.tell() != size:
                raise InvalidRequestError("The uploaded files are gone: send them again.")
        paths.append(path)
    return paths


class _Names:
    """The names of an upload, which must be able to lie side by side in one folder."""

    def __init__(self) -> None:
        self._files: set[str] = set()
        self._folders: set[str] = set()

    def add(self, name: str) -> str:
        """Return the name in its one spelling; raise `InvalidRequestError` where it cannot be."""
        checked = _check_name(name)
        folders = {str(parent) for parent in PurePosixPath(checked).parents}
        if checked in self._files:
            raise InvalidRequestError(f"Two files of the upload have the name '{checked[:80]}'.")
        if checked in self._folders or folders & self._files:
            raise InvalidRequestError(
                f"'{checked[:80]}' is in the upload as a file and as a folder: rename one of them."
            )
        self._files.add(checked)
        self._folders |= folders
        return checked


def _check_name(name: str) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    if (
        path.is_absolute()
        or ".." in path.parts
        or not path.name
        or len(name) > 1024
        or re.search(r"[\x00-\x1f\ud800-\udfff]", name)
        or any(len(part.encode()) > _LONGEST_PART for part in path.parts)
    ):
        raise InvalidRequestError(
            f"'{name[:80]}' is not a usable file name: use a relative path without '..'."
        )
    return str(path)

"""Adding the files of one request to a batch, a bounded number of bytes at a time."""

import hashlib
import re
from collections.abc import Callable
from typing import BinaryIO

from api.services import services
from worker.archives import ArchiveLimits, ArchiveMember, members
from worker.errors import (
    DamagedMemberError,
    ImageError,
    ImageFileTooLargeError,
    InvalidRequestError,
    NotAnImageError,
)
from worker.formatting import binary_size
from worker.images.folders import is_named_like_an_image
from worker.images.kinds import HEAD, is_picture
from worker.jobs.batches import AddedImages, NewImage
from worker.jobs.records import Lane

FILES = frozenset({"images", "archive"})  # the form's fields that are files
WHOLE = frozenset({"archive"})  # of these, those that may be larger than one image

_BYTES_AT_ONCE = 1024 * 1024
# Images that are written at once: few at first, so that workers begin while the rest comes.
_FIRST_AT_ONCE, _IMAGES_AT_ONCE = 8, 200
_UNNAMED = b"unnamed"
_MOST_NAMES = 100_000  # of one request that are remembered
_SUFFIXED = re.compile(rb"\A(.*?)((?<=[^/])\.[^./]*)?\Z", re.DOTALL)


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=16).digest()


class BatchUpload:
    """Adds files to a batch through `add`: images as items, the rest is counted as skipped."""

    def __init__(
        self,
        add: Callable[[list[NewImage], int], AddedImages],
        *,
        rename_duplicates: bool = False,
    ) -> None:
        """`rename_duplicates`: give different pictures of one name in the request different names.

        That is for a batch that skips paths that it has. The same request sent again gives the same
        names.
        """
        self._add = add
        self._names: dict[bytes, bytes] | None = {} if rename_duplicates else None
        self._waiting: list[NewImage] = []
        self._bytes = 0
        self._at_once = _FIRST_AT_ONCE
        self.added = 0
        self.already = 0
        self.skipped = 0

    def take(self, field: str, filename: bytes, stream: BinaryIO) -> None:
        """Take one file of the request: an image, or with the field `archive` many of them."""
        limit = services().settings.max_image_bytes
        if field == "archive":
            for member in members(stream, ArchiveLimits.of(services().settings)):
                self._take_member(member, limit)
        elif field == "images":
            content = stream.read(limit + 1)
            self._take(filename, content if len(content) <= limit else None, None)
        else:
            raise InvalidRequestError(
                f"The file field '{field[:40]}' is not known: use `images` or `archive`."
            )

    def flush(self) -> None:
        """Write what has been taken to Redis."""
        if not self._waiting:
            return
        services().reserve_memory(self._bytes)
        added = self._add(self._waiting, self.added)
        if added.ticket_needed:
            services().send_ticket(Lane.BULK)
        self.added += added.added
        self.already += added.already
        self._waiting, self._bytes = [], 0

    def _take_member(self, member: ArchiveMember, limit: int) -> None:
        try:
            content = member.read_first(HEAD)
            if is_named_like_an_image(member.path) or is_picture(content):
                content += member.read_first(limit + 1 - len(content))
        except DamagedMemberError as error:
            self._take(member.path, None, {"code": ImageError.code, "message": error.message})
        else:
            self._take(member.path, content if len(content) <= limit else None, None)

    def _take(self, path: bytes, content: bytes | None, problem: dict[str, str] | None) -> None:
        name = path.replace(b"\0", b"") or _UNNAMED
        head = b"" if content is None else content[:HEAD]
        if not is_named_like_an_image(name) and not is_picture(head):
            self.skipped += 1
            self._waiting.append(NewImage(path=name, skipped=True))
        else:
            error = problem or self._fault(content)
            upload = b"" if error or content is None else content
            name = self._name(name, upload)
            self._waiting.append(NewImage(path=name, upload=upload, error=error))
            self._bytes += len(upload)
        if self._bytes >= _BYTES_AT_ONCE or len(self._waiting) >= self._at_once:
            self.flush()
            self._at_once = min(2 * self._at_once, _IMAGES_AT_ONCE)

    def _name(self, name: bytes, upload: bytes) -> bytes:
        """Return the name, or another one where another picture of this request has it."""
        if self._names is None:
            return name
        picture, number, called = _digest(upload), 1, name
        while (known := self._names.get(_digest(called), picture)) != picture:
            number += 1
            called = _SUFFIXED.sub(rb"\1 (%d)\2" % number, name, count=1)
        if len(self._names) < _MOST_NAMES:
            self._names[_digest(called)] = known
        return called

    def _fault(self, content: bytes | None) -> dict[str, str] | None:
        if content is None:
            limit = binary_size(services().settings.max_image_bytes)
            message = f"The file is larger than one image may be ({limit})."
            return {"code": ImageFileTooLargeError.code, "message": message}
        if not content:
            return {"code": NotAnImageError.code, "message": "The file is empty."}
        return None

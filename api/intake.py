"""Taking images of a request into a batch, a few megabytes at a time."""

from types import TracebackType
from typing import BinaryIO, Self

from api.kernel import Kernel
from worker.errors import ImageTooLargeError, InvalidRequestError, NotAnImageError
from worker.images.archives import members
from worker.images.decode import sniff
from worker.images.folders import is_named_like_an_image
from worker.jobs.batches import NewImage
from worker.jobs.records import Lane

_BYTES_AT_ONCE = 4 * 1024 * 1024
_IMAGES_AT_ONCE = 200
_MOST_MEMBERS = 1_000_000  # files of one archive


class Intake:
    """Adds files to a batch. What is no image is counted; what is too large is a failed row."""

    def __init__(self, kernel: Kernel, job_id: str, *, rename: bool) -> None:
        self._kernel = kernel
        self._job_id = job_id
        self._rename = rename
        self._waiting: list[NewImage] = []
        self._bytes = 0
        self._skipped_now = 0
        self.added = 0
        self.already = 0
        self.skipped = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.flush()

    def take(self, field: str, filename: str, stream: BinaryIO) -> None:
        """Take one file of the request: an image, or with the field `archive` many of them."""
        limit = self._kernel.settings.max_image_bytes
        if field == "archive":
            for member in members(stream, most_bytes=limit, most_members=_MOST_MEMBERS):
                self._add(member.path, member.content, member.problem)
        elif field == "images":
            content = stream.read(limit + 1)
            self._add(filename, content if len(content) <= limit else None, None)
        else:
            raise InvalidRequestError(f"The file field '{field[:40]}' is not known: use `images`.")

    def flush(self) -> None:
        """Write what waits to the store."""
        if not self._waiting and not self._skipped_now:
            return
        self._kernel.check_room()
        added = self._kernel.batches.add(
            self._job_id, self._waiting, rename=self._rename, skipped=self._skipped_now
        )
        if added.ticket_needed:
            self._kernel.ticket(Lane.BULK)
        self.added += added.added
        self.already += added.already
        self.skipped += self._skipped_now
        self._waiting, self._bytes, self._skipped_now = [], 0, 0

    def _add(self, path: str, content: bytes | None, problem: str | None) -> None:
        name = path.replace("\0", "").encode("utf-8", "surrogateescape")
        if content is not None and not (
            is_named_like_an_image(name) or sniff(content[:16]) is not None
        ):
            self._skipped_now += 1
            return
        error = None
        if content is None:
            limit = self._kernel.settings.max_image_bytes / 2**20
            fault = problem or f"The file is larger than one image may be ({limit:.1f} MiB)."
            error = {"code": ImageTooLargeError.code, "message": fault}
        elif not content:
            error = {"code": NotAnImageError.code, "message": "The file is empty."}
        self._waiting.append(NewImage(path=name, upload=content or b"", error=error))
        self._bytes += len(content or b"")
        if self._bytes >= _BYTES_AT_ONCE or len(self._waiting) >= _IMAGES_AT_ONCE:
            self.flush()

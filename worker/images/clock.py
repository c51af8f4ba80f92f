"""The processor time that one decoding may take."""

import io
import time

from worker.errors import ImageTooCostlyError


class DecodingClock:
    """Measures this thread's processor time, from when it is made."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._end = time.thread_time() + limit_s

    def check(self) -> None:
        """Raise `ImageTooCostlyError` where the time is up."""
        if time.thread_time() > self._end:
            raise self._error()

    def afford(self, cost_s: float) -> None:
        """Raise `ImageTooCostlyError` where the next step is likely to take longer than allowed.

        For a step that cannot be interrupted, because it is one call of a library.
        """
        if cost_s > self._limit_s:
            raise self._error()

    def _error(self) -> ImageTooCostlyError:
        return ImageTooCostlyError(
            f"The image would take more than {self._limit_s:g} s to be decoded, and no more is "
            "allowed: save it smaller, or as a plain JPEG or PNG."
        )


class TimedFile(io.BytesIO):
    """A file in memory that checks the time whenever it is read.

    Pillow's decoders work on one block at a time, which Pillow reads from the file, so that each of
    them is stopped soon.
    """

    def __init__(self, data: bytes, clock: DecodingClock) -> None:
        super().__init__(data)
        self._clock = clock

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes, as any file; raise `ImageTooCostlyError` where time is up."""
        self._clock.check()
        return super().read(size)

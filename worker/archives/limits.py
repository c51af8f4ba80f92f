"""How much one archive may hold in all, including members that are skipped."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from worker.errors import ArchiveTooLargeError
from worker.formatting import binary_size

if TYPE_CHECKING:
    from worker.settings import Settings

# Below this size an archive may unpack by any ratio: black pictures and new weights are small.
RATIO_FROM_BYTES = 64 * 1024 * 1024
_MEAN_HEADER_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class ArchiveLimits:
    """What one archive may hold."""

    entries: int  # files, folders, links and whatever else it names
    unpacked_bytes: int
    ratio: float  # of the bytes that it unpacks to and its own

    @property
    def header_bytes(self) -> int:
        """What may be said about all entries together."""
        return _MEAN_HEADER_BYTES * max(self.entries, 100)

    @property
    def archive_bytes(self) -> int:
        """How large an archive may be itself, which is that much more."""
        return self.unpacked_bytes + self.header_bytes

    @classmethod
    def of(cls, settings: "Settings") -> "ArchiveLimits":
        """Return the limits that an operator set."""
        return cls(
            entries=settings.max_unpacked_files,
            unpacked_bytes=settings.max_unpacked_bytes,
            ratio=settings.max_unpacked_ratio,
        )


class Budget:
    """What is left of the limits while one archive is read."""

    def __init__(self, limits: ArchiveLimits, archive_bytes: int, called: str) -> None:
        self.limits = limits
        self.called = called  # the archive, as a sentence begins with it
        self._archive_bytes = archive_bytes
        self._entries = 0
        self._bytes = 0

    def add_entry(self, size: int) -> None:
        """Count an entry of so many bytes; raise `ArchiveTooLargeError` past a limit."""
        self._entries += 1
        if self._entries > self.limits.entries:
            raise self.too_many()
        self.add_bytes(size)

    def add_bytes(self, count: int) -> None:
        """Count bytes that come out; raise `ArchiveTooLargeError` past a limit."""
        self._bytes += count
        if self._bytes > self.limits.unpacked_bytes:
            raise self.too_large()
        if self._bytes > RATIO_FROM_BYTES and self._bytes > self.limits.ratio * self._archive_bytes:
            raise ArchiveTooLargeError(
                f"{self.called} unpacks to more than {self.limits.ratio:g} times its own size, "
                "which is the limit: send the files without an archive, or pack them without "
                "compression."
            )

    def check_size(self) -> None:
        """Raise `ArchiveTooLargeError` where the archive alone is more than may come out of it."""
        if self._archive_bytes > self.limits.archive_bytes:
            raise self.too_large()

    def too_large(self) -> ArchiveTooLargeError:
        """Return the error that says that too much comes out."""
        return ArchiveTooLargeError(
            f"{self.called} unpacks to more than {binary_size(self.limits.unpacked_bytes)}, which "
            "is the limit: send it in parts."
        )

    def too_many(self) -> ArchiveTooLargeError:
        """Return the error that says that there are too many entries."""
        return ArchiveTooLargeError(
            f"{self.called} holds more than {self.limits.entries:,} entries, which is the limit: "
            "send it in parts."
        )

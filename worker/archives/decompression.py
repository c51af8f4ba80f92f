"""Compressed streams read a bounded piece at a time, whatever they unpack to."""

import bz2
import lzma
import zlib
from typing import BinaryIO, Protocol

from worker.archives.limits import Budget
from worker.errors import BadArchiveError, UnsupportedMediaError

_READ_BYTES = 64 * 1024  # of the compressed stream at once
_WITH_GZIP_HEADER = 31  # zlib's window bits: the largest window, in gzip's format, CRC checked
# An xz of presets up to -7 needs 17 MiB; -8 and -9 need 33 and 65, for each request at a time.
_XZ_MEMORY_BYTES = 24 * 1024 * 1024
# What a stream within the stream costs beside its bytes: there may be one in every 20 bytes.
_STREAM_COSTS = 4096

GZIP, BZIP2, XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"


class _Decompressor(Protocol):
    """What bz2's and lzma's decompressors have in common."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes: ...


class _Gunzip:
    """zlib's decompressor with the interface of the others."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(_WITH_GZIP_HEADER)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        found = self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
        # With a full answer more may stand behind it that needs no further input.
        self.needs_input = len(found) < max_length and not self._zlib.unconsumed_tail
        return found


def _decompressor(head: bytes) -> _Decompressor | None:
    if head.startswith(GZIP):
        return _Gunzip()
    if head.startswith(BZIP2):
        return bz2.BZ2Decompressor()
    if head.startswith(XZ):
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)
    return None


def is_compressed(head: bytes) -> bool:
    """Whether a file that begins so can be read with `Decompressed`."""
    return head.startswith((GZIP, BZIP2, XZ))


class Decompressed:
    """Reads a gzip, bzip2 or xz file, also one of several streams one behind the other.

    Raises `BadArchiveError` where the file is damaged or cut off.
    """

    def __init__(self, stream: BinaryIO, budget: Budget) -> None:
        self._stream = stream
        self._budget = budget
        self._input = stream.read(_READ_BYTES)
        self._decompressor = _decompressor(self._input)

    def read(self, size: int) -> bytes:
        """Return at most `size` bytes, or none at the end."""
        while size > 0 and self._decompressor is not None:
            if self._decompressor.eof:
                self._next_stream(self._decompressor.unused_data)
                continue
            if self._decompressor.needs_input and not self._input:
                self._input = self._stream.read(_READ_BYTES)
                if not self._input:
                    raise BadArchiveError(
                        f"{self._budget.called} is damaged or cut off: send it whole."
                    )
            data, self._input = self._input, b""
            found = self._unpack(self._decompressor, data, size)
            if found:
                return found
        return b""

    def _unpack(self, decompressor: _Decompressor, data: bytes, size: int) -> bytes:
        try:
            return decompressor.decompress(data, size)
        except lzma.LZMAError as error:
            if "limit" in str(error).lower():
                raise UnsupportedMediaError(
                    f"{self._budget.called} needs too much memory to unpack: compress it with "
                    "`xz -6`, or with gzip."
                ) from None
            raise self._damaged() from None
        except (zlib.error, OSError, ValueError, EOFError):
            raise self._damaged() from None

    def _next_stream(self, start: bytes) -> None:
        """Begin with the stream behind the one that ended; zeros may stand before and after it."""
        self._input = start
        while True:
            self._input = self._input.lstrip(b"\0")
            if len(self._input) >= len(XZ):
                break
            more = self._stream.read(_READ_BYTES)
            if not more:
                break
            self._input += more
        self._decompressor = _decompressor(self._input) if self._input else None
        if self._input and self._decompressor is None:
            raise self._damaged()
        self._budget.add_bytes(_STREAM_COSTS if self._decompressor else 0)

    def _damaged(self) -> BadArchiveError:
        return BadArchiveError(
            f"{self._budget.called} is damaged: its compressed data cannot be unpacked."
        )

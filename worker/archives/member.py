"""One file of an archive, and the errors of the libraries that read archives."""

import lzma
import tarfile
import zipfile
import zlib

from worker.errors import BadArchiveError

# What zipfile, tarfile and the decompressors below them raise on damaged archives, and on those
# made to damage: tarfile converts numbers, zipfile unpacks structures, both compute with them.
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    ValueError,
    OverflowError,
    IndexError,
    KeyError,
    AttributeError,
    AssertionError,
    TypeError,
    RuntimeError,  # zipfile's word for an encrypted member
    NotImplementedError,  # and for a compression method that it does not know
)
_PIECE_BYTES = 256 * 1024
LONGEST_PATH = 4096  # bytes, as Linux has it


class ArchiveMember:
    """One file of an archive, which is read before the next one is asked for."""

    in_order = True  # whether those before it are passed over by unpacking them

    def __init__(self, path: bytes) -> None:
        self.path = path  # only a name: nothing is written under it here

    def read(self, size: int) -> bytes:
        """Return the next bytes, at most `size`, or none at the end.

        Raises `DamagedMemberError` where only this file is damaged, `BadArchiveError` where nothing
        more can be read of the archive.
        """
        raise NotImplementedError

    def read_first(self, size: int) -> bytes:
        """Return the first `size` bytes, or all where there are fewer."""
        pieces = []
        while size > 0 and (piece := self.read(min(size, _PIECE_BYTES))):
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)


def check_path(path: bytes, called: str) -> None:
    """Raise `BadArchiveError` for a path that no file system would take."""
    if len(path) > LONGEST_PATH:
        raise BadArchiveError(
            f"{called} holds a name of more than {LONGEST_PATH:,} bytes: no file has one as long."
        )

"""Reading archives that strangers sent, without unpacking more of them than is allowed."""

from worker.archives.limits import ArchiveLimits
from worker.archives.reader import ArchiveMember, examine, is_tar, is_zip, members
from worker.archives.single import is_compressed_file, unpacked_pieces
from worker.archives.zips import zip_names

__all__ = [
    "ArchiveLimits",
    "ArchiveMember",
    "examine",
    "is_compressed_file",
    "is_tar",
    "is_zip",
    "members",
    "unpacked_pieces",
    "zip_names",
]

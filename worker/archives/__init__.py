"""Reading archives that strangers sent, without unpacking more of them than is allowed."""

from worker.archives.limits import ArchiveLimits
from worker.archives.reader import Member, examine, is_tar, is_zip, members

__all__ = ["ArchiveLimits", "Member", "examine", "is_tar", "is_zip", "members"]

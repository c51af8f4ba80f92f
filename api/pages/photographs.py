"""The photographs of predictions, as far as they are kept for the page of their job."""

import redis

from worker.images.kinds import sniff
from worker.jobs.keys import check_job_id, key

# What a browser's file chooser offers: the media types that `sniff` knows.
MEDIA_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp", "image/bmp", "image/tiff")

_HEAD_BYTES = 16


def media_type(client: redis.Redis, job_id: str) -> str | None:
    """Return the media type of a job's photograph, or None where none is kept.

    Reads only its first bytes, because a page that is shown often need not move the whole.
    """
    check_job_id(job_id)
    return sniffed(client.getrange(key("upload", job_id, 0), 0, _HEAD_BYTES - 1))


def sniffed(content: bytes | None) -> str | None:
    """Return the media type of an image by its first bytes, or None."""
    return sniff(content[:_HEAD_BYTES]) if content else None

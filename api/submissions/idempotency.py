"""`Idempotency-Key`: how a repeated request is recognised."""

import hashlib

from flask import request

from api.access import identity
from worker.errors import InvalidRequestError
from worker.jobs.records import Kind

_LONGEST_KEY = 255  # characters


def idempotency(kind: Kind, *marks: bytes) -> tuple[str, str]:
    """Return the digest of the request's key and the fingerprint of what it asks for.

    `marks` are what two requests may differ in. Both are empty where the request has no key. Raises
    `InvalidRequestError` for a key that is too long.
    """
    key = request.headers.get("Idempotency-Key")
    if not key:
        return "", ""
    if len(key) > _LONGEST_KEY:
        raise InvalidRequestError(f"Idempotency-Key is longer than {_LONGEST_KEY} characters.")
    digest = hashlib.sha256(key.encode("latin-1", "replace"))
    if owner := identity.key_id():  # two owners may choose the same key for different requests
        digest.update(b"\0" + owner.encode())
    fingerprint = hashlib.sha256(b"|".join([kind.encode(), *marks]))
    return digest.hexdigest(), fingerprint.hexdigest()

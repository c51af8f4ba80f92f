"""Where a server is, and how names become parts of its paths."""

import os
from urllib.parse import quote

import httpx

from worker.errors import InvalidRequestError


def server_url(text: str) -> str:
    """Return the server's URL without a trailing slash; raise `InvalidRequestError`."""
    wrong = InvalidRequestError(
        f"'{text}' is not the URL of a server: it looks like http://127.0.0.1:8000."
    )
    text = text.strip()
    try:
        url = httpx.URL(text if "://" in text else f"http://{text}")
    except httpx.InvalidURL:
        raise wrong from None
    strange = url.query or url.fragment or any(sign.isspace() for sign in text)
    if url.scheme not in ("http", "https") or not url.host or strange:
        raise wrong
    return str(url).rstrip("/")


def path_part(text: str) -> str:
    """Quote one part of a path."""
    return quote(os.fsencode(text), safe="@")

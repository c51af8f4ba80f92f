"""What is answered to what is not HTTP, where there is no request that Flask could answer."""

import json
from http import HTTPStatus
from typing import Final, NamedTuple

from api.http.headers import ALWAYS, NOT_KEPT


class Refusal(NamedTuple):
    """An error that ends the connection."""

    status: int
    code: str
    detail: str


NOT_HTTP: Final = Refusal(400, "invalid_request", "The request is not HTTP as RFC 9112 has it.")
URI_TOO_LONG: Final = Refusal(
    414, "uri_too_long", "The request's address is longer than is accepted."
)
HEADERS_TOO_LARGE: Final = Refusal(
    431, "headers_too_large", "The request's headers are larger than is accepted."
)
TOO_SLOW: Final = Refusal(408, "request_timeout", "The request was too slow in coming: try again.")
CRUMBS: Final = Refusal(
    400, "invalid_request", "The body is sent in chunks that are too small: send larger ones."
)


def raw_answer(refused: Refusal) -> bytes:
    """Return the whole response, which ends the connection."""
    title = HTTPStatus(refused.status).phrase
    fields = {"type": "about:blank", "title": title, "status": refused.status}
    body = json.dumps({**fields, "detail": refused.detail, "code": refused.code}).encode()
    headers = {
        "Connection": "close",
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "Cache-Control": NOT_KEPT,
        **ALWAYS,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {refused.status} {title}\r\n{head}\r\n".encode("ascii") + body

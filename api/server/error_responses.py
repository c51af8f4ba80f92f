"""Errors of requests that cannot be read as HTTP, so that Flask has no request to answer."""

import json
from http import HTTPStatus
from typing import Final, NamedTuple

from api.http.headers import ALWAYS, NOT_STORED


class ErrorResponse(NamedTuple):
    """An error that ends the connection."""

    status: int
    code: str
    detail: str

    def encode(self) -> bytes:
        """Return the whole response, which ends the connection."""
        title = HTTPStatus(self.status).phrase
        fields = {"type": "about:blank", "title": title, "status": self.status}
        body = json.dumps({**fields, "detail": self.detail, "code": self.code}).encode()
        headers = {
            "Connection": "close",
            "Content-Type": "application/problem+json",
            "Content-Length": str(len(body)),
            "Cache-Control": NOT_STORED,
            **ALWAYS,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"HTTP/1.1 {self.status} {title}\r\n{head}\r\n".encode("ascii") + body


NOT_HTTP: Final = ErrorResponse(
    400, "invalid_request", "The request is not HTTP as RFC 9112 has it."
)
URI_TOO_LONG: Final = ErrorResponse(
    414, "uri_too_long", "The request's address is longer than is accepted."
)
HEADERS_TOO_LARGE: Final = ErrorResponse(
    431, "headers_too_large", "The request's headers are larger than is accepted."
)
TOO_SLOW: Final = ErrorResponse(
    408, "request_timeout", "The request was too slow in coming: try again."
)
CHUNKS_TOO_SMALL: Final = ErrorResponse(
    400, "invalid_request", "The body is sent in chunks that are too small: send larger ones."
)

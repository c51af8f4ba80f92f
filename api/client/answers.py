"""The errors for answers that are no success, and for requests that got no answer."""

import time
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from api.client.errors import (
    ConnectionLostError,
    NotPermafrostError,
    ServerError,
    ServerUnreachableError,
)
from worker.errors import InvalidRequestError, PermafrostError

_BUSY = frozenset({429, 503})
_GATEWAY = frozenset({502, 503, 504})  # what a proxy answers while the server behind it is away


def refusal(answer: httpx.Response, server: str) -> PermafrostError:
    """Return the error that an answer outside 200 to 299 means."""
    if answer.is_redirect:
        return ServerError(
            f"{server} redirects to {answer.headers.get('location')}: name the address where the "
            "server itself answers with --server.",
            code="redirected",
            status=answer.status_code,
        )
    problem = _problem(answer)
    if problem is None:
        if answer.status_code in (404, 405, 501):
            return not_permafrost(answer, server)
        return ServerError(
            f"{server} answered {answer.status_code} {answer.reason_phrase}.",
            code=f"http_{answer.status_code}",
            status=answer.status_code,
            retry_after=_retry_after(answer),
        )
    detail = problem.get("detail") or problem.get("title") or answer.reason_phrase
    return ServerError(
        str(detail),
        code=str(problem.get("code") or f"http_{answer.status_code}"),
        status=answer.status_code,
        retry_after=_retry_after(answer),
    )


def not_permafrost(answer: httpx.Response, server: str) -> NotPermafrostError:
    """Return the error for an answer that no Permafrost gives."""
    kind = answer.headers.get("content-type", "nothing").partition(";")[0]
    return NotPermafrostError(
        f"What answers at {server} is not Permafrost, or another version of it "
        f"({answer.request.url.path}: {answer.status_code}, {kind})."
    )


def not_permafrost_at(server: str) -> NotPermafrostError:
    """Return the error for an answer that begins as one of Permafrost does and is none."""
    return NotPermafrostError(
        f"What {server} answers is not what Permafrost answers, or that of another version of it."
    )


def failure(error: httpx.RequestError, server: str) -> PermafrostError:  # noqa: PLR0911 - one each
    """Return the error that it means that a request got no answer."""
    if isinstance(error, httpx.UnsupportedProtocol):
        return InvalidRequestError(f"{server} is not the URL of a server: {error}")
    if isinstance(error, httpx.LocalProtocolError):
        return InvalidRequestError(f"A file changed while it was being sent ({error}).")
    if isinstance(error, httpx.DecodingError):
        return not_permafrost_at(server)
    if isinstance(error, httpx.ProxyError):
        return ServerUnreachableError(
            f"The proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY names does not lead to {server} "
            f"({error}): put the server's name into NO_PROXY if it needs none."
        )
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return ServerUnreachableError(
            f"No Permafrost server answers at {server}: start one with "
            "`./permafrost up` or name another with --server."
        )
    if isinstance(error, httpx.TimeoutException):
        return ServerUnreachableError(
            f"The server at {server} does not answer in time ({type(error).__name__})."
        )
    return ConnectionLostError(
        f"{server} closed the connection before it answered ({type(error).__name__})."
    )


def _problem(answer: httpx.Response) -> dict[str, Any] | None:
    if "json" not in answer.headers.get("content-type", ""):
        return None
    try:
        problem = answer.json()
    except ValueError:
        return None
    return problem if isinstance(problem, dict) else None


def worth_waiting(answer: httpx.Response) -> bool:
    """Return whether the same request may be accepted later.

    A server that is busy says when; one that says 503 with a problem and no time means that
    waiting does not help (a model that cannot be loaded). A proxy says neither.
    """
    if answer.status_code in _BUSY and "retry-after" in answer.headers:
        return True
    return answer.status_code in _GATEWAY and _problem(answer) is None


def _retry_after(answer: httpx.Response) -> int | None:
    """Read Retry-After: seconds, or a date (RFC 9110, section 10.2.3)."""
    value = answer.headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return int(value) if len(value) < 10 else None
    try:
        return max(0, round(parsedate_to_datetime(value).timestamp() - time.time()))
    except (ValueError, OverflowError):
        return None

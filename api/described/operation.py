"""How an operation is described: its parameters, body, answers and errors."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel

from worker.errors import (
    ForeignOriginError,
    HostNotAllowedError,
    InvalidRequestError,
    OverloadedError,
    PermafrostError,
    RateLimitedError,
    StorageError,
    StoreUnavailableError,
    TooLargeError,
    UnsupportedMediaError,
)

JSON: Final = "application/json"
FORM: Final = "multipart/form-data"
BINARY: Final[Mapping[str, Any]] = {"type": "string", "format": "binary"}

Errors = tuple[type[PermafrostError], ...]
# What a body or an answer is: a model, a union of models, or a schema where it is no JSON.
Described = Any

# Errors that any request may get,
ALWAYS: Final[Errors] = (InvalidRequestError, HostNotAllowedError)
# requests that read the store or the registry,
STORED: Final[Errors] = (*ALWAYS, StoreUnavailableError, OverloadedError)
# requests that change something,
CHANGING: Final[Errors] = (*STORED, ForeignOriginError)
# requests by POST, whose rate is limited for each client,
POSTED: Final[Errors] = (*CHANGING, RateLimitedError)
# and requests with a body.
WITH_BODY: Final[Errors] = (TooLargeError, UnsupportedMediaError)
UPLOADED: Final[Errors] = (*POSTED, *WITH_BODY, StorageError)


@dataclass(frozen=True, kw_only=True)
class Header:
    """A header of an answer."""

    about: str
    schema: Mapping[str, Any] = field(default_factory=lambda: {"type": "string"})
    always: bool = False


@dataclass(frozen=True, kw_only=True)
class DescribedAnswer:
    """What an operation answers with one status."""

    about: str
    status: int = 200
    content: Mapping[str, Described] = field(default_factory=dict)  # by media type
    example: BaseModel | Mapping[str, Any] | str | None = None
    headers: Mapping[str, Header] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DescribedOperation:
    """One request that the server answers."""

    method: str
    path: str
    id: str
    view: str  # of `api.access.permissions`, which knows the scopes
    tag: str
    summary: str
    about: str = ""
    query: type[BaseModel] | None = None
    headers: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)
    body: Mapping[str, Described] = field(default_factory=dict)  # by media type
    body_needed: bool = True
    example: Mapping[str, Any] | None = None  # of a body that is JSON
    answers: tuple[DescribedAnswer, ...]
    errors: Errors = STORED


def json_answer(
    model: type[BaseModel],
    example: BaseModel,
    about: str,
    *,
    status: int = 200,
    headers: Mapping[str, Header] | None = None,
) -> DescribedAnswer:
    """Return an answer that is JSON of a model."""
    return DescribedAnswer(
        about=about, status=status, content={JSON: model}, example=example, headers=headers or {}
    )


# -- waiting for a job ----------------------------------------------------------------------------

_JOB_URL: Final = Header(about="The job's URL.", schema={"type": "string"}, always=True)
_APPLIED: Final = Header(about="How much of `Prefer: wait=SECONDS` was honoured.")
RETRY_AFTER: Final = Header(
    about="Seconds after which asking again makes sense.",
    schema={"type": "integer", "minimum": 1},
    always=True,
)

_Sent = Mapping[str, tuple[str, Mapping[str, Any]]]

PREFER: Final[_Sent] = {
    "Prefer": (
        "`wait=SECONDS` holds the answer until the job has ended (RFC 7240).",
        {"type": "string"},
    )
}
SUBMITTING: Final[_Sent] = {
    **PREFER,
    "Idempotency-Key": (
        "A repetition with the same key returns the first job.",
        {"type": "string", "maxLength": 255},
    ),
}


def accepted(
    model: type[BaseModel], queued: BaseModel, ended: BaseModel
) -> tuple[DescribedAnswer, ...]:
    """Return the two answers to a request that makes a job or resumes it: accepted, and ended."""
    headers = {"Location": _JOB_URL, "Preference-Applied": _APPLIED}
    return (
        json_answer(
            model,
            queued,
            "The job was accepted",
            status=HTTPStatus.ACCEPTED,
            headers={**headers, "Retry-After": RETRY_AFTER},
        ),
        json_answer(model, ended, "The job has ended within the time to wait", headers=headers),
    )

"""Makes the OpenAPI document of the described operations."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from api.access import permissions
from api.access.credentials import COOKIE
from api.described import (
    batches,
    freezes,
    health,
    jobs,
    keys,
    models,
    paths,
    predictions,
    problems,
    workers,
)
from api.described.operation import JSON, DescribedAnswer, DescribedOperation, Header
from api.described.webhooks import WEBHOOKS
from worker.contract.base import as_json
from worker.contract.batches import BatchProgress, BatchRow
from worker.contract.events import LogEvent, StatusEvent
from worker.contract.image_jobs import Progress
from worker.contract.webhooks import JobEnded
from worker.credentials.api_key import Scope
from worker.errors import (
    KeyExpiredError,
    KeyRequiredError,
    KeyUnknownError,
    NotFoundError,
    ScopeMissingError,
)

OPERATIONS: Final[tuple[DescribedOperation, ...]] = (
    *predictions.OPERATIONS,
    *batches.OPERATIONS,
    *freezes.OPERATIONS,
    *jobs.OPERATIONS,
    *models.OPERATIONS,
    *workers.OPERATIONS,
    *keys.OPERATIONS,
    *health.OPERATIONS,
)

_ABOUT: Final = "Freezes trained TensorFlow models and classifies images, through a queue."
_GUARDED: Final = (KeyRequiredError, KeyUnknownError, KeyExpiredError, ScopeMissingError)
_SECURITY: Final = {
    "key": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "pf_...",
        "description": "An API key, made with `./permafrost keys create`. Where no key was ever "
        "made and only its own machine reaches the server, none is needed.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": "What a browser that signed in sends.",
    },
}


@cache
def document() -> dict[str, Any]:
    """Return the document of a server that is reached at `/`. It is cached: do not change it."""
    schemas, refusals = _Schemas(), dict[str, Any]()
    for model in (
        StatusEvent,
        Progress,
        BatchProgress,
        LogEvent,
        BatchRow,
    ):  # JSON within streams of text
        schemas.answered(model)
    schemas.answered(JobEnded)
    found: dict[str, dict[str, Any]] = {}
    for one in OPERATIONS:
        found.setdefault(one.path, {})[one.method] = _operation(one, schemas, refusals)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Permafrost",
            "version": "1",
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [
            {"name": tag} for tag in (*dict.fromkeys(one.tag for one in OPERATIONS), "webhooks")
        ],
        "paths": found,
        "webhooks": WEBHOOKS,
        "components": {
            "schemas": {**schemas.defined(), **problems.schemas()},
            "responses": dict(sorted(refusals.items())),
            "securitySchemes": _SECURITY,
        },
    }


class _Schemas:
    """Collects the models that the document refers to."""

    def __init__(self) -> None:
        self._asked: dict[type[BaseModel], None] = {}
        self._answered: dict[type[BaseModel], None] = {}

    def asked(self, described: Any) -> dict[str, Any]:
        """Return the schema of a request's body."""
        return self._of(described, self._asked)

    def answered(self, described: Any) -> dict[str, Any]:
        """Return the schema of an answer's body."""
        return self._of(described, self._answered)

    def defined(self) -> dict[str, Any]:
        """Return the schemas of all models that were referred to, and of their parts."""
        wanted = [
            *((model, "validation") for model in self._asked),
            *((model, "serialization") for model in self._answered),
        ]
        _, found = models_json_schema(
            wanted,  # type: ignore[arg-type]  # the modes are literals
            ref_template=f"{problems.REF}{{model}}",
        )
        schemas: dict[str, Any] = found["$defs"]
        return dict(sorted(schemas.items()))

    def _of(self, described: Any, models: dict[type[BaseModel], None]) -> dict[str, Any]:
        if isinstance(described, tuple):
            return {"anyOf": [self._of(one, models) for one in described]}
        if isinstance(described, type) and issubclass(described, BaseModel):
            models[described] = None
            return {"$ref": f"{problems.REF}{described.__name__}"}
        if isinstance(described, Mapping):
            return dict(described)
        return TypeAdapter(described).json_schema()


def _operation(
    operation: DescribedOperation, schemas: _Schemas, refusals: dict[str, Any]
) -> dict[str, Any]:
    public = operation.view in permissions.PUBLIC
    errors = operation.errors if public else (*operation.errors, *_GUARDED)
    if "{" in operation.path:
        errors = (*errors, NotFoundError)
    described: dict[str, Any] = {
        "operationId": operation.id,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": _about(operation, public=public),
        "security": _security(operation.view),
        "parameters": [*paths.parameters(operation.path), *_parameters(operation)],
        "responses": {
            **{str(one.status): _answer(one, schemas) for one in operation.answers},
            **problems.responses(errors, refusals),
        },
    }
    if operation.body:
        described["requestBody"] = {
            "required": operation.body_needed,
            "content": {
                media: _content(schemas.asked(kind), operation.example if media == JSON else None)
                for media, kind in operation.body.items()
            },
        }
    return {name: value for name, value in described.items() if value not in ("", [])} | {
        "security": described["security"]
    }


def _security(view: str) -> list[dict[str, list[str]]]:
    """Return how a request may authenticate: by a key, a session, or not at all."""
    if view in permissions.PUBLIC:
        return []
    keys: list[dict[str, list[str]]] = [{"key": []}, {"session": []}]
    return keys if view in permissions.OF_KEYS else [{}, *keys]


def _about(operation: DescribedOperation, *, public: bool) -> str:
    if public:
        return operation.about
    wanted = permissions.scopes_for(operation.view)
    named = " or ".join(f"`{scope}`" for scope in Scope if scope in wanted)
    scope = f"Where keys are needed, one with the scope {named}."
    return f"{operation.about}\n\n{scope}" if operation.about else scope


def _parameters(operation: DescribedOperation) -> Iterable[dict[str, Any]]:
    if operation.query is not None:
        schema = operation.query.model_json_schema()
        for name, field in schema["properties"].items():
            about = field.get("description", "")
            kinds = field.pop("anyOf", [{}])
            kind = next(one for one in kinds if one.get("type") != "null")
            if "$ref" in kind:
                kind = schema["$defs"][kind["$ref"].rpartition("/")[2]]
            # A parameter of an address is never null.
            hidden = {
                "title",
                "description",
                *(["default"] if field.get("default") is None else []),
            }
            shown = {key: value for key, value in {**kind, **field}.items() if key not in hidden}
            parameter = {"name": name, "in": "query", "description": about, "schema": shown}
            # An empty parameter counts as left out, except the seconds to wait.
            yield parameter if name == "wait" else {**parameter, "allowEmptyValue": True}
    for name, (about, kind) in operation.headers.items():
        yield {"name": name, "in": "header", "description": about, "schema": dict(kind)}


def _answer(answer: DescribedAnswer, schemas: _Schemas) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.about}
    if answer.headers:
        described["headers"] = {name: _header(one) for name, one in answer.headers.items()}
    if answer.content:
        example = answer.example
        shown = as_json(example) if isinstance(example, BaseModel) else example
        first = next(iter(answer.content))
        described["content"] = {
            media: _content(schemas.answered(kind), shown if media == first else None)
            for media, kind in answer.content.items()
        }
    return described


def _header(header: Header) -> dict[str, Any]:
    described = {"description": header.about, "schema": dict(header.schema)}
    return {**described, "required": True} if header.always else described


def _content(schema: dict[str, Any], example: Any) -> dict[str, Any]:
    return {"schema": schema} if example is None else {"schema": schema, "example": example}

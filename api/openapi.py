"""What the OpenAPI document says beyond what the views say themselves: bodies and their schemas."""

import json
import re
from typing import Any, Final, cast

from apiflask import APIFlask
from flask import Response, current_app, request
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api import permissions
from api.credentials import COOKIE
from api.described import complete
from worker.credentials.api_key import Scope
from worker.images.examples import MOST_EXAMPLES
from worker.jobs.requests import FreezeRequest, InspectionRequest, RepublishRequest
from worker.models.comparison import Comparison
from worker.models.inspection import Inspection
from worker.models.manifest import Manifest
from worker.models.proof import Proof

_ARGUMENT = re.compile(r"<(?:\w+:)?(\w+)>")
_REF = "#/components/schemas/{model}"
_MODELS: Final[tuple[type[BaseModel], ...]] = (
    FreezeRequest,
    InspectionRequest,
    RepublishRequest,
    Inspection,
    Manifest,
    Proof,
    Comparison,
)
_BODIES: Final[dict[str, type[BaseModel]]] = {
    "/v1/freezes": FreezeRequest,
    "/v1/inspections": InspectionRequest,
}


def register(app: APIFlask) -> None:
    """Make the document of `app` whole."""
    app.spec_processor(_complete)
    app.after_request(_below_the_prefix)


def _below_the_prefix(response: Response) -> Response:
    """Say in the document, which is made once, under which path the API is reached."""
    if request.endpoint == "openapi.spec" and request.script_root and response.is_json:
        spec = {**(response.get_json() or {}), "servers": [{"url": request.script_root}]}
        response.set_data(json.dumps(spec))
    return response


def _complete(document: dict[Any, Any] | str) -> dict[Any, Any] | str:
    spec = cast("dict[str, Any]", document)  # a str is YAML, which is not asked for
    _, described = models_json_schema(
        [(model, "validation") for model in _MODELS], ref_template=_REF
    )
    spec.setdefault("components", {}).setdefault("schemas", {}).update(described["$defs"])
    for path, model in _BODIES.items():
        spec["paths"][path]["post"]["requestBody"] = _source_body(model)
    complete(spec)
    # What tags there are, in the order in which the operations use them.
    used = [
        tag
        for operations in spec["paths"].values()
        for operation in operations.values()
        for tag in operation.get("tags", [])
    ]
    spec["tags"] = [{"name": name} for name in dict.fromkeys(used)]
    _secure(spec)
    spec["servers"] = [{"url": "/"}]  # wherever the document was read from
    return spec


def _secure(spec: dict[str, Any]) -> None:
    """Say which operations need a key, of which scope, and how they refuse one that has none."""
    spec["components"]["securitySchemes"] = {
        "key": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "pf_...",
            "description": "An API key, made with `./permafrost keys create`. Where no key was "
            "ever made and only its own machine reaches the server, none is needed.",
        },
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": COOKIE,
            "description": "What a browser that signed in sends.",
        },
    }
    for rule in current_app.url_map.iter_rules():
        path = _ARGUMENT.sub(r"{\1}", rule.rule)
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            operation = spec["paths"].get(path, {}).get(method.lower())
            if operation is None:
                continue
            if rule.endpoint in permissions.PUBLIC:
                operation["security"] = []
                continue
            operation["security"] = [{"key": []}, {"session": []}]
            wanted = permissions.scopes_for(rule.endpoint)
            named = " or ".join(f"`{scope}`" for scope in Scope if scope in wanted)
            refusals = {
                "401": "No API key was sent, or it is unknown, revoked or expired",
                "403": f"The API key lacks the scope {named}",
            }
            for status, meaning in refusals.items():
                operation["responses"].setdefault(status, {"description": meaning})


def _source_body(model: type[BaseModel]) -> dict[str, Any]:
    """Return the two forms in which a source is submitted."""
    name = model.__name__
    schema = {"$ref": _REF.format(model=name)}
    binary = {"type": "string", "format": "binary"}
    form: dict[str, Any] = {
        "type": "object",
        "properties": {
            "files": {
                "type": "array",
                "items": binary,
                "description": "All files of the source.",
            },
            "archive": {**binary, "description": "Instead of them, a zip or tar of the source."},
            "options": {
                "type": "string",
                "description": f"The fields of {name}, less `source`, as JSON.",
            },
        },
    }
    if model is FreezeRequest:
        form["properties"]["samples"] = {
            "type": "array",
            "items": binary,
            "description": "Photographs to verify with, beside made-up ones.",
        }
        form["properties"]["examples"] = {
            "type": "array",
            "items": binary,
            "description": "Pictures whose label is known, by which it is decided how images are "
            "prepared: one archive with a folder for each label or with `examples.csv` (a file and "
            f"its label in each row), or up to {MOST_EXAMPLES} pictures named `label/picture`, or "
            "so many beside an `examples.csv`.",
        }
    return {
        "required": True,
        "content": {
            "application/json": {"schema": schema},
            "multipart/form-data": {"schema": form},
        },
    }

"""Descriptions of what requests carry and what answers are, for the OpenAPI document."""

from typing import Any, Final

from worker.jobs.records import Kind
from worker.models.comparison import MOST_COMPARED

Described = dict[str, Any]

_PROBLEM: Final[Described] = {
    "type": "object",
    "description": "What was wrong, as RFC 9457 has it.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string", "description": "A sentence for a person."},
        "code": {"type": "string", "description": "A word for a program, which does not change."},
    },
}
_AS_PROBLEM: Final[Described] = {
    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
}
_BINARY: Final[Described] = {"type": "string", "format": "binary"}


def _query(name: str, description: str, **schema: Any) -> Described:
    return {"name": name, "in": "query", "description": description, "schema": schema}


def _header(name: str, description: str) -> Described:
    return {
        "name": name,
        "in": "header",
        "description": description,
        "schema": {"type": "string", "maxLength": 200},
    }


_MODEL = _query("model", "`NAME`, `NAME@VERSION` or `NAME@ALIAS`.", type="string")
_TOP_FIELD: Final[Described] = {"type": "integer", "minimum": 1, "maximum": 999_999_999}
_TOP_MEANS: Final = "How many labels are answered, 5 if not said; more than there are means all."
_TOP = _query("top", _TOP_MEANS, **_TOP_FIELD)
_WAIT = _query("wait", "Seconds to hold the answer for.", type="number", minimum=0, maximum=60)
_PREFER = _header("Prefer", "`wait=SECONDS` holds the answer until the job ends (RFC 7240).")
_KEY = _header("Idempotency-Key", "A repetition with the same key returns the first job.")
_STATES: Final = ["queued", "running", "succeeded", "failed", "cancelled"]
_OUTCOMES: Final = ["succeeded", "failed"]
_FILES: Final[Described] = {
    "images": {"type": "array", "items": _BINARY, "description": "Images, each a file."},
    "archive": {**_BINARY, "description": "Instead of them, a zip, tar or tar.gz of images."},
}
_MODEL_FIELD: Final[Described] = {"type": "string", "description": "As for a prediction."}
_WEBHOOK_FIELD: Final[Described] = {
    "type": "string",
    "description": "An https address that is told when the job has ended.",
}
_WEBHOOK = _query("webhook", "An https address that is told when the job ended.", type="string")

# By operation: the parameters beside those in its path.
_PARAMETERS: Final[dict[tuple[str, str], list[Described]]] = {
    ("post", "/v1/predictions"): [_MODEL, _TOP, _WEBHOOK, _WAIT, _PREFER, _KEY],
    ("post", "/v1/batches"): [_WAIT, _PREFER, _KEY],
    ("post", "/v1/comparisons"): [_MODEL, _TOP, _WEBHOOK, _WAIT, _PREFER, _KEY],
    ("post", "/v1/freezes"): [_WAIT, _PREFER, _KEY],
    ("post", "/v1/inspections"): [_WAIT, _PREFER, _KEY],
    ("get", "/v1/jobs"): [
        _query("kind", "Only these.", enum=[kind.value for kind in Kind]),
        _query("status", "Only these.", enum=_STATES),
        _query("cursor", "Where the page before ended: its `next`.", type="string"),
        _query("limit", "Jobs of one page.", type="integer", minimum=1, maximum=200),
    ],
    ("get", "/v1/jobs/{job_id}"): [_WAIT],
    ("get", "/v1/jobs/{job_id}/events"): [
        _header("Last-Event-ID", "The last event that was seen; those behind it follow."),
    ],
    ("get", "/v1/batches/{job_id}/results"): [
        _query("format", "JSON lines or a table.", enum=["jsonl", "csv"]),
        _query(
            "bom", "1: a table begins with a byte order mark, for spreadsheets.", enum=["0", "1"]
        ),
        _query("status", "Only these.", enum=_OUTCOMES),
    ],
}

_BODIES: Final[dict[tuple[str, str], Described]] = {
    ("post", "/v1/predictions"): {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["image"],
                "properties": {
                    "image": _BINARY,
                    "model": _MODEL_FIELD,
                    "top": {**_TOP_FIELD, "description": _TOP_MEANS},
                    "webhook": _WEBHOOK_FIELD,
                },
            }
        },
        "application/octet-stream": {"schema": _BINARY},
        "image/*": {"schema": _BINARY},
    },
    ("post", "/v1/comparisons"): {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["images"],
                "properties": {
                    "images": {
                        "type": "array",
                        "items": _BINARY,
                        "minItems": 1,
                        "maxItems": MOST_COMPARED,
                    },
                    "model": _MODEL_FIELD,
                    "top": {**_TOP_FIELD, "description": _TOP_MEANS},
                    "webhook": _WEBHOOK_FIELD,
                },
            }
        },
    },
    ("post", "/v1/batches"): {
        "application/json": {
            "schema": {
                "type": "object",
                "properties": {
                    "folder": {"type": "string", "description": "Below a folders root."},
                    "recursive": {"type": "boolean"},
                    "patterns": {"type": "array", "items": {"type": "string"}},
                    "open": {"type": "boolean", "description": "Images follow in parts."},
                    "model": _MODEL_FIELD,
                    "top": {**_TOP_FIELD, "description": _TOP_MEANS},
                    "webhook": _WEBHOOK_FIELD,
                },
            }
        },
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    **_FILES,
                    "model": _MODEL_FIELD,
                    "top": {**_TOP_FIELD, "description": _TOP_MEANS},
                    "webhook": _WEBHOOK_FIELD,
                },
            }
        },
    },
    ("post", "/v1/batches/{job_id}/images"): {
        "multipart/form-data": {"schema": {"type": "object", "properties": _FILES}}
    },
    ("post", "/v1/models/{name}/versions"): {
        "application/json": {"schema": {"$ref": "#/components/schemas/RepublishRequest"}}
    },
    ("post", "/v1/models/{name}/versions/{version}/preprocessing"): {
        "application/json": {"schema": {"$ref": "#/components/schemas/PreprocessingSpec"}}
    },
    ("put", "/v1/models/{name}/aliases/{alias}"): {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["version"],
                "properties": {"version": {"type": "integer", "minimum": 1}},
            }
        }
    },
}

# Of answers that are no JSON.
_MEDIA: Final[dict[tuple[str, str], list[str]]] = {
    ("get", "/v1/jobs/{job_id}/events"): ["text/event-stream"],
    ("get", "/v1/batches/{job_id}/images"): ["application/jsonl"],
    ("get", "/v1/batches/{job_id}/results"): ["application/jsonl", "text/csv"],
    ("get", "/v1/models/{name}/versions/{version}/graph"): ["application/octet-stream"],
    ("get", "/v1/models/{name}/versions/{version}/savedmodel"): ["application/zip"],
}


def complete(spec: Described) -> None:
    """Add to a document what its operations take, and that errors are problems."""
    spec["components"]["schemas"]["Problem"] = _PROBLEM
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            if method != "parameters":
                _complete(operation, (method, path))


def _complete(operation: Described, name: tuple[str, str]) -> None:
    operation.setdefault("parameters", []).extend(_PARAMETERS.get(name, ()))
    if name in _BODIES and "requestBody" not in operation:
        operation["requestBody"] = {"required": True, "content": _BODIES[name]}
    responses = operation["responses"]
    for status, response in responses.items():
        if str(status).startswith(("4", "5")) and name[1] != "/readyz":
            response["content"] = _AS_PROBLEM
    if name in _MEDIA:
        content = {media: {"schema": _BINARY} for media in _MEDIA[name]}
        responses["200"] = {"description": "What was asked for", "content": content}
    responses["default"] = {
        "description": "Anything else: refused, and why",
        "content": _AS_PROBLEM,
    }

"""`/v1/keys`: make, list, renew and revoke API keys; for keys with the scope `admin`."""

from typing import Any

from apiflask import APIBlueprint
from flask import Response, jsonify, request

from api import identity
from api.bodies import parse_json
from api.kernel import kernel
from worker.credentials.key_store import NewKey, scopes_of
from worker.errors import InvalidRequestError, UnsupportedMediaError

blueprint = APIBlueprint("keys", __name__)


@blueprint.get("/v1/keys")
@blueprint.doc(tags=["keys"])
def index() -> Response:
    """List the API keys, oldest first: what they allow, and when they were used."""
    return jsonify({"keys": [key.as_json() for key in kernel().authentication.keys.all()]})


@blueprint.post("/v1/keys")
@blueprint.doc(tags=["keys"], responses={201: "The key, in `key`; it is never shown again"})
def create() -> Response:
    """Make an API key.

    JSON with `name` and `scopes` (of `submit`, `read`, `freeze`, `admin`); if wanted,
    `expires_days`, and `rate`, submissions per second.
    """
    asked = _asked({"name", "scopes", "expires_days", "rate"})
    name = asked.get("name")
    if not isinstance(name, str):
        raise InvalidRequestError("name: give the key a name, such as who uses it.")
    made = kernel().authentication.keys.create(
        name,
        scopes_of(asked.get("scopes")),
        days=_number(asked, "expires_days"),
        rate=_number(asked, "rate"),
    )
    return _shown_once(made, 201)


@blueprint.get("/v1/keys/own")
@blueprint.doc(tags=["keys"])
def own() -> Response:
    """Say what the request's own key allows; `null` where no key is needed."""
    grant = identity.grant()
    if grant is None:
        return jsonify({"key": None})
    return jsonify({"key": {"id": grant.key, "name": grant.name, "scopes": sorted(grant.scopes)}})


@blueprint.post("/v1/keys/<key_id>/renew")
@blueprint.doc(tags=["keys"], responses={409: "The key was revoked"})
def renew(key_id: str) -> Response:
    """Make a key anew: it keeps its id, name, scopes and jobs.

    The old one works for `grace_s` more seconds, a day by default; 0 ends it at once.
    `expires_days`: from now; by default as long as it was made for.
    """
    asked = _asked({"grace_s", "expires_days"}) if request.content_length else {}
    grace = _number(asked, "grace_s")
    if grace is None:
        grace = kernel().settings.key_grace_s
    if not 0 <= grace <= 366 * 24 * 3600:
        raise InvalidRequestError("grace_s must be seconds from 0 to a year.")
    renewed = kernel().authentication.keys.renew(
        key_id, days=_number(asked, "expires_days"), grace_s=grace
    )
    return _shown_once(renewed, 200)


@blueprint.delete("/v1/keys/<key_id>")
@blueprint.doc(tags=["keys"])
def revoke(key_id: str) -> Response:
    """Revoke a key: within about a second it works nowhere any more. Its jobs are kept."""
    return jsonify(kernel().authentication.keys.revoke(key_id).as_json())


def _shown_once(made: NewKey, status: int) -> Response:
    response = jsonify({**made.key.as_json(), "key": made.secret})
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    return response


def _asked(known: set[str]) -> dict[str, Any]:
    if request.mimetype != "application/json":
        raise UnsupportedMediaError("Send JSON, with the header Content-Type: application/json.")
    body = parse_json(request.get_data(as_text=True))
    if not isinstance(body, dict):
        raise InvalidRequestError("The request must be a JSON object.")
    others = sorted(set(body) - known)
    if others:
        raise InvalidRequestError(
            f"'{others[0][:40]}' is not known here: use {', '.join(sorted(known))}."
        )
    return body


def _number(asked: dict[str, Any], name: str) -> float | None:
    value = asked.get(name)
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InvalidRequestError(f"{name} must be a number.")
    try:
        return float(value)
    except OverflowError:
        raise InvalidRequestError(f"{name} is too large.") from None

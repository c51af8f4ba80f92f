"""`/v1/keys`: make, list, renew and revoke API keys; for keys with the scope `admin`."""

from typing import Any

from flask import Blueprint, Response, request

from api.access import identity
from api.http.answers import json_response
from api.http.parameters import json_body
from api.services import services
from worker.contract.base import built
from worker.contract.keys import KeyList, KeyRequest, NewKey, OwnGrant, OwnKey, RenewRequest
from worker.credentials.api_key import parse_scopes
from worker.credentials.key_store import KeyWithSecret
from worker.errors import UnsupportedMediaError

blueprint = Blueprint("keys", __name__)


@blueprint.get("/v1/keys")
def index() -> Response:
    """List the API keys, oldest first: what they allow, and when they were used."""
    found = [key.answer() for key in services().keys.all()]
    return json_response(built(KeyList, keys=found))


@blueprint.post("/v1/keys")
def create() -> Response:
    """Make an API key.

    JSON with `name` and `scopes` (of `submit`, `read`, `freeze`, `admin`); if wanted,
    `expires_days`, and `rate`, submissions per second.
    """
    asked = KeyRequest.parse(_sent())
    made = services().keys.create(
        asked.name, parse_scopes(asked.scopes), days=asked.expires_days, rate=asked.rate
    )
    return _shown_once(made, 201)


@blueprint.get("/v1/keys/own")
def own() -> Response:
    """Say what the request's own key allows; `null` where no key is needed."""
    grant = identity.grant()
    own = grant and OwnGrant.model_validate(
        {"id": grant.key, "name": grant.name, "scopes": sorted(grant.scopes)}
    )
    return json_response(OwnKey(key=own))


# An id is longer than `own`, which is no key's.
@blueprint.post("/v1/keys/<string(minlength=4):key_id>/renew")
def renew(key_id: str) -> Response:
    """Make a key anew: it keeps its id, name, scopes and jobs.

    The old one works for `grace_s` more seconds, a day by default; 0 ends it at once.
    `expires_days`: from now; by default as long as it was made for.
    """
    asked = RenewRequest.parse(_sent() if request.content_length else {})
    grace_s = services().settings.key_grace_s if asked.grace_s is None else asked.grace_s
    renewed = services().keys.renew(key_id, days=asked.expires_days, grace_s=grace_s)
    return _shown_once(renewed, 200)


@blueprint.delete("/v1/keys/<string(minlength=4):key_id>")
def revoke(key_id: str) -> Response:
    """Revoke a key: within about a second it works nowhere any more. Its jobs are kept."""
    return json_response(services().keys.revoke(key_id).answer())


def _shown_once(made: KeyWithSecret, status: int) -> Response:
    response = json_response(built(NewKey, **dict(made.key.answer()), key=made.secret))
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    return response


def _sent() -> Any:
    if request.mimetype != "application/json":
        raise UnsupportedMediaError("Send JSON, with the header Content-Type: application/json.")
    return json_body()

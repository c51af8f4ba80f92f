"""API keys."""

from collections.abc import Sequence

from api.client import reading
from api.client.address import path_part
from api.client.attempts import document
from api.client.connection import Connection
from api.client.operations.submitting import JSON, given
from api.client.steps import ApiRequest, Json, ReadBy, Steps
from api.client.uploads import json_bytes


@ReadBy(reading.own_key)
def own_key(connection: Connection) -> Steps[Json | None]:
    """Return id, name and scopes of the key that this client sends; None: none is needed."""
    answer = yield from document(connection, ApiRequest(method="GET", path="/v1/keys/own"), "key")
    found: Json | None = answer["key"]
    return found


@ReadBy(reading.keys)
def keys(connection: Connection) -> Steps[Json]:
    """Return every API key, without the keys themselves."""
    return (yield from document(connection, ApiRequest(method="GET", path="/v1/keys"), "keys"))


@ReadBy(reading.new_key)
def create_key(
    connection: Connection,
    name: str,
    scopes: Sequence[str],
    *,
    expires_days: float | None = None,
    rate: float | None = None,
) -> Steps[Json]:
    """Make an API key; it is in `key` of what is returned, and nowhere else ever."""
    more = given(expires_days=expires_days, rate=rate)
    return (
        yield from _made(connection, "/v1/keys", {**given(name=name), "scopes": [*scopes], **more})
    )


@ReadBy(reading.new_key)
def renew_key(
    connection: Connection,
    key_id: str,
    *,
    grace_s: float | None = None,
    expires_days: float | None = None,
) -> Steps[Json]:
    """Make a key anew, with its id and jobs; the new one is in `key` of what is returned."""
    asked = given(grace_s=grace_s, expires_days=expires_days)
    return (yield from _made(connection, f"/v1/keys/{path_part(key_id)}/renew", asked))


@ReadBy(reading.key)
def revoke_key(connection: Connection, key_id: str) -> Steps[Json]:
    """Have a key work no more, and return what is known of it."""
    request = ApiRequest(method="DELETE", path=f"/v1/keys/{path_part(key_id)}")
    return (yield from document(connection, request, "id"))


def _made(connection: Connection, path: str, asked: Json) -> Steps[Json]:
    request = ApiRequest(
        method="POST",
        path=path,
        headers=JSON,
        body=json_bytes(asked),
        repeatable=False,  # sent again after a lost answer, it would make a second key
    )
    return (yield from document(connection, request, "key"))

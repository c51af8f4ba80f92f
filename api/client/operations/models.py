"""Models, their versions and aliases; workers."""

from collections.abc import Sequence

import httpx

from api.client import reading
from api.client.address import path_part
from api.client.attempts import document
from api.client.connection import Connection
from api.client.operations.submitting import JSON
from api.client.steps import ApiRequest, Json, Params, ReadBy, Send, Steps
from api.client.uploads import json_bytes


@ReadBy(reading.models)
def models(connection: Connection) -> Steps[Json]:
    """Return every model."""
    return (yield from document(connection, ApiRequest(method="GET", path="/v1/models"), "models"))


@ReadBy(reading.model)
def model(connection: Connection, name: str) -> Steps[Json]:
    """Return one model with its aliases and versions."""
    request = ApiRequest(method="GET", path=f"/v1/models/{path_part(name)}")
    return (yield from document(connection, request, "versions"))


@ReadBy(reading.version)
def version(connection: Connection, name: str, version: int | str) -> Steps[Json]:
    """Return the manifest of one version, a number or an alias."""
    request = ApiRequest(method="GET", path=_version(name, version))
    return (yield from document(connection, request, "version"))


@ReadBy(reading.version)
def republish(
    connection: Connection,
    name: str,
    *,
    version: int | str = "stable",
    preprocessing: str | Json | None = None,
    labels: Sequence[str] | None = None,
    scores: str | None = None,
    alias: str = "stable",
) -> Steps[Json]:
    """Publish a version's graph as the next version, with other preprocessing, labels, scores.

    What is not given stays as it is in `version`, a number or an alias. Returns the manifest of
    the new version, which `alias` means from then on.
    """
    given: Json = {"preprocessing": preprocessing, "labels": labels, "scores": scores}
    asked = {key: value for key, value in given.items() if value is not None}
    request = ApiRequest(
        method="POST",
        path=f"/v1/models/{path_part(name)}/versions",
        headers=JSON,
        body=json_bytes({"from": version, "alias": alias, **asked}),
        repeatable=False,  # sent again after a lost answer, it would publish twice
    )
    return (yield from document(connection, request, "version"))


@ReadBy(reading.model_summary)
def set_alias(connection: Connection, name: str, alias: str, version: int) -> Steps[Json]:
    """Make an alias of a model mean a version and return the model."""
    request = ApiRequest(
        method="PUT",
        path=f"/v1/models/{path_part(name)}/aliases/{path_part(alias)}",
        headers=JSON,
        body=json_bytes({"version": version}),
    )
    return (yield from document(connection, request, "aliases"))


@ReadBy(reading.retired)
def retire(connection: Connection, name: str, version: int, *, force: bool = False) -> Steps[Json]:
    """Take a version out of use for new jobs and return the model.

    With `force` also where an alias means it; `moved` says what such aliases mean now.
    """
    params: Params = {"force": "true"} if force else {}
    request = ApiRequest(method="DELETE", path=_version(name, version), params=params)
    return (yield from document(connection, request, "aliases"))


@ReadBy(reading.model_summary)
def try_again(connection: Connection, name: str, version: int) -> Steps[Json]:
    """Have a version that was set aside tried again, and return the model."""
    request = ApiRequest(method="DELETE", path=f"{_version(name, version)}/set-aside")
    return (yield from document(connection, request, "aliases"))


@ReadBy(reading.workers)
def workers(connection: Connection) -> Steps[Json]:
    """Return what each worker process says of itself."""
    return (
        yield from document(connection, ApiRequest(method="GET", path="/v1/workers"), "workers")
    )


@ReadBy(bool)
def ready(connection: Connection) -> Steps[bool]:  # noqa: ARG001 - as all operations
    """Return whether the server could make a prediction now. Raises nothing."""
    outcome = yield Send(ApiRequest(method="GET", path="/readyz"))
    return isinstance(outcome, httpx.Response) and outcome.status_code == 200


def _version(name: str, version: int | str) -> str:
    return f"/v1/models/{path_part(name)}/versions/{path_part(str(version))}"

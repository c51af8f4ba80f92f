"""Submitting a job, which all operations that make one do alike."""

import uuid
from collections.abc import Mapping
from typing import Any

from api.client.address import path_part
from api.client.attempts import document
from api.client.connection import Connection
from api.client.forms import Form
from api.client.steps import ApiRequest, BodyStream, Json, Params, Steps
from api.client.uploads import json_bytes, sendable

JSON = {"Content-Type": "application/json"}


def submitted(
    connection: Connection,
    path: str,
    *,
    body: bytes | BodyStream | Form | Json = b"",
    params: Params | None = None,
    headers: Mapping[str, str] | None = None,
    key: str | None = None,
    wait_s: float = 0,
) -> Steps[Json]:
    """Submit a job and return it; `key` is its Idempotency-Key, a new one by default.

    With it, a submission whose answer was lost can be sent again: the server recognises it.
    """
    headers = {**(headers or {}), "Idempotency-Key": key or uuid.uuid4().hex}
    if wait_s > 0:
        headers["Prefer"] = f"wait={whole_seconds(wait_s)}"
    if isinstance(body, Form):
        headers |= body.headers()
        body = body.body()
    elif isinstance(body, dict):
        headers |= JSON
        body = json_bytes(body)
    request = ApiRequest(
        method="POST", path=path, body=body, params=params or {}, headers=headers, wait_s=wait_s
    )
    job = yield from document(connection, request, "id")
    return job if "status" in job else (yield from read_job(connection, str(job["id"])))


def read_job(connection: Connection, job_id: str, wait_s: float = 0) -> Steps[Json]:
    """Return a job; with `wait_s`, the server holds the answer until it ends or that time is up."""
    params: Params = {"wait": whole_seconds(wait_s)} if wait_s > 0 else {}
    request = ApiRequest(
        method="GET", path=f"/v1/jobs/{path_part(job_id)}", params=params, wait_s=wait_s
    )
    job = yield from document(connection, request, "id")
    return job


def given(**fields: Any) -> dict[str, Any]:
    """Return the fields that are not None, their texts as UTF-8 that can be sent."""
    return {
        name: sendable(value) if isinstance(value, str) else value
        for name, value in fields.items()
        if value is not None
    }


def whole_seconds(value: float) -> int:
    """Return seconds to wait as a whole number of at least 1, as headers and parameters need it."""
    return max(1, round(value))

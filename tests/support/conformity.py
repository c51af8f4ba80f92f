"""Whether what a server answers is what the OpenAPI document says that it answers."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import jsonschema_rs
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.described.document import document

_PARAMETER = re.compile(r"{\w+}")
_PROBLEM = "application/problem+json"


@cache
def described() -> dict[str, Any]:
    """Return the document."""
    return document()


def operation_of(method: str, path: str) -> tuple[str, dict[str, Any]] | None:
    """Return the path and what is said of the operation that a request asks for, if there is one.

    `HEAD` is answered as `GET` is.
    """
    asked = "get" if method == "HEAD" else method.lower()
    for pattern, template in _templates():
        if pattern.fullmatch(path) and asked in described()["paths"][template]:
            return template, described()["paths"][template][asked]
    return None


def resolved(given: dict[str, Any]) -> dict[str, Any]:
    """Return what a reference means; what is none stays as it is."""
    found: Any = described()
    if "$ref" not in given:
        return given
    for part in given["$ref"].removeprefix("#/").split("/"):
        found = found[part]
    return dict(found)


def check(method: str, path: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raise `AssertionError` where an answer differs from what the document says of it.

    Requests of which it says nothing, such as those for pages, are passed over; of an answer that
    is no JSON only its kind is looked at.
    """
    found = operation_of(method, path)
    if found is None or status == 405:  # another method than those that the path has
        return
    template, operation = found
    asked = f"{method} {template}: {status}"
    assert str(status) in operation["responses"], f"{asked} is not in the document: {body[:300]!r}"
    response = resolved(operation["responses"][str(status)])
    sent = {name.lower(): value for name, value in headers.items()}
    for name, header in response.get("headers", {}).items():
        assert name.lower() in sent or not header.get("required"), f"{asked} has no header {name}"
    content = response.get("content")
    if not content:
        assert not body, asked
        return
    media = sent.get("content-type", "").partition(";")[0]
    assert media in content, f"{asked} is {media}, not {' or '.join(content)}"
    if method == "HEAD" or not media.endswith("json"):
        return
    value, schema = json.loads(body), content[media]["schema"]
    for error in _validator(json.dumps(_narrowed(schema, value))).iter_errors(value):
        place = "/".join(str(part) for part in error.instance_path)
        raise AssertionError(f"{asked}: {place}: {error.message[:500]}")
    if media == _PROBLEM:
        codes = content[media]["examples"]
        assert value["code"] in codes, f"{asked}: {value['code']} is not in the document"


@cache
def _templates() -> list[tuple[re.Pattern[str], str]]:
    """Return the paths, those without parameters first."""
    paths = sorted(described()["paths"], key=lambda path: path.count("{"))
    return [(re.compile(_PARAMETER.sub("[^/]+", path)), path) for path in paths]


def _narrowed(schema: dict[str, Any], value: Any) -> dict[str, Any]:
    """Return the schema of a job's kind, so that what is wrong with it is said of that one."""
    if schema == {"$ref": "#/components/schemas/Job"}:
        kinds: dict[str, str] = resolved(schema)["discriminator"]["mapping"]
        assert value["kind"] in kinds
        return {"$ref": kinds[value["kind"]]}
    return schema


@cache
def _validator(schema: str) -> jsonschema_rs.Draft202012Validator:
    whole = {**json.loads(schema), "components": described()["components"]}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


class CheckedClient(FlaskClient):
    """A client that looks whether each answer is what the document says."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        response = super().open(*args, **kwargs)
        asked = response.request
        is_json = (response.mimetype or "").endswith("json")
        check(
            asked.method,
            asked.path,
            response.status_code,
            dict(response.headers),
            response.get_data() if is_json else b"",
        )
        return response

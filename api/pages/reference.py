"""The API reference as a page: what the OpenAPI document says, in the order in which it is read."""

import re
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup, escape

_CODE = re.compile(r"`([^`]+)`")
_REF = re.compile(r"#/components/(schemas|responses)/([\w.]+)\Z")
_METHODS = ("get", "post", "put", "patch", "delete")
_LAST = "operations"


@dataclass(frozen=True, kw_only=True)
class ReferenceField:
    """A parameter, or a member of a body."""

    name: str
    kind: str
    about: str
    required: bool


@dataclass(frozen=True, kw_only=True)
class ReferenceOperation:
    """One request that the server answers."""

    method: str
    path: str
    anchor: str
    summary: str
    about: str
    parameters: list[ReferenceField]
    bodies: list[tuple[str, list[ReferenceField]]]  # media type, members
    responses: list[tuple[str, str]]  # status, meaning


@dataclass(frozen=True, kw_only=True)
class Resource:
    """The operations of one resource."""

    title: str
    anchor: str
    operations: list[ReferenceOperation]


def resources(spec: dict[str, Any]) -> list[Resource]:
    """Return the document's operations by resource, `/healthz` and the like last."""
    found: dict[str, list[ReferenceOperation]] = {}
    for path, methods in sorted(spec["paths"].items()):
        for method in _METHODS:
            if method in methods:
                tag = next(iter(methods[method].get("tags") or ["other"]))
                found.setdefault(tag, []).append(_operation(spec, method, path, methods[method]))
    tags = sorted(found, key=lambda tag: (tag == _LAST, tag))
    return [Resource(title=tag.capitalize(), anchor=tag, operations=found[tag]) for tag in tags]


def prose(text: str) -> Markup:
    """Return text with what stands between backticks as code, and its paragraphs apart."""
    paragraphs = [part for part in re.split(r"\n\s*\n", str(escape(text))) if part.strip()]
    marked = [_CODE.sub(r"<code>\1</code>", part) for part in paragraphs]
    return Markup("<br>".join(marked))  # noqa: S704 - escaped above  # nosec B704


def _operation(
    spec: dict[str, Any], method: str, path: str, given: dict[str, Any]
) -> ReferenceOperation:
    body = given.get("requestBody") or {}
    return ReferenceOperation(
        method=method.upper(),
        path=path,
        anchor=f"{method}-{re.sub(r'[^a-z0-9]+', '-', path.lower()).strip('-')}",
        summary=given.get("summary", ""),
        about=given.get("description", ""),
        parameters=[
            ReferenceField(
                name=one["name"],
                kind=_kind(one.get("schema") or {}),
                about=one.get("description", ""),
                required=bool(one.get("required")),
            )
            for one in given.get("parameters", [])
        ],
        bodies=[
            (media_type, _members(spec, content.get("schema") or {}))
            for media_type, content in (body.get("content") or {}).items()
        ],
        responses=[
            (status, _resolved(spec, one).get("description", ""))
            for status, one in given["responses"].items()
        ],
    )


def _members(spec: dict[str, Any], schema: dict[str, Any]) -> list[ReferenceField]:
    schema = _resolved(spec, schema)
    if "anyOf" in schema:  # one of several objects, or a text
        members = [one for kind in schema["anyOf"] for one in _members(spec, kind)]
        return list({one.name: one for one in members}.values())
    required = schema.get("required", [])
    return [
        ReferenceField(
            name=name,
            kind=_kind(one),
            about=one.get("description", ""),
            required=name in required,
        )
        for name, one in (schema.get("properties") or {}).items()
    ]


def _resolved(spec: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """Return what a reference means; what is none stays as it is."""
    found = _REF.match(given.get("$ref", ""))
    if found is None:
        return given
    resolved: dict[str, Any] = spec["components"][found[1]][found[2]]
    return resolved


def _kind(schema: dict[str, Any]) -> str:
    """Return what values a schema allows, in a few words."""
    choices = schema.get("enum") or ([schema["const"]] if "const" in schema else [])
    if "anyOf" in schema:
        choices = [kind for kind in map(_kind, schema["anyOf"]) if kind != "null"]
    if choices:
        return " | ".join(dict.fromkeys(str(choice) for choice in choices))
    found = _REF.match(schema.get("$ref", ""))
    if found is not None:
        return found[2]
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items') or {})}"
    return "file" if schema.get("format") == "binary" else str(schema.get("type", "any"))

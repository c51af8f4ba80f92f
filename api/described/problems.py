"""How errors are described: one schema for each status, an example for each code."""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

from worker import errors as all_errors
from worker.contract.problems import Problem
from worker.errors import InvalidRequestError, PermafrostError

PROBLEM_JSON: Final = "application/problem+json"
REF: Final = "#/components/schemas/"


class InternalError(PermafrostError):
    """Something went wrong inside; it was written to the server's log."""

    code = "internal_error"


class NoSuchPartError(InvalidRequestError):
    """The file has no such part as `Range` asks for."""

    status = 416


def _known() -> dict[int, list[str]]:
    """Return the codes of each status, of all errors that there are."""
    found: dict[int, list[str]] = {}
    classes = [one for one in vars(all_errors).values() if isinstance(one, type)]
    errors: list[type[PermafrostError]] = [InternalError, NoSuchPartError]
    errors += [one for one in classes if issubclass(one, PermafrostError)]
    for error in errors:
        if error is not PermafrostError:
            found.setdefault(error.status, []).append(error.code)
    return {status: sorted(set(codes)) for status, codes in sorted(found.items())}


def schemas() -> dict[str, Any]:
    """Return the schemas of problems: any, and of each status."""
    made: dict[str, Any] = {"Problem": Problem.model_json_schema(mode="serialization")}
    for status, codes in _known().items():
        made[f"Problem{status}"] = {
            **made["Problem"],
            "title": f"Problem{status}",
            "description": f"Why a request was refused with {status}.",
            "properties": {
                **made["Problem"]["properties"],
                "status": {"type": "integer", "const": status},
                "code": {**made["Problem"]["properties"]["code"], "enum": codes},
            },
        }
    return made


def responses(refusals: Iterable[type[PermafrostError]], defined: dict[str, Any]) -> dict[str, Any]:
    """Return the responses for these errors, by status, as references to what is `defined`."""
    found: dict[int, dict[str, type[PermafrostError]]] = {}
    errors: list[type[PermafrostError]] = [*refusals, InternalError]
    for error in errors:
        found.setdefault(error.status, {})[error.code] = error
    made = {}
    for status, codes in sorted(found.items()):
        name = ".".join([str(status), *sorted(codes)])
        if name not in defined:
            defined[name] = _response(status, codes)
        made[str(status)] = {"$ref": f"#/components/responses/{name}"}
    return made


def _response(status: int, codes: Mapping[str, type[PermafrostError]]) -> dict[str, Any]:
    means = [f"`{code}`: {_meaning(error)}" for code, error in sorted(codes.items())]
    response: dict[str, Any] = {
        "description": "\n\n".join(means),
        "content": {
            PROBLEM_JSON: {
                "schema": {"$ref": f"{REF}Problem{status}"},
                "examples": {
                    code: {"value": _example(status, code, error)}
                    for code, error in sorted(codes.items())
                },
            }
        },
    }
    headers: dict[str, Any] = {}
    if status in (429, 503, 507):
        headers["Retry-After"] = {
            "description": "Seconds after which trying again makes sense, where it does.",
            "schema": {"type": "integer", "minimum": 1},
        }
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = {
            "description": "How a key is sent, and what is wrong with the one that was.",
            "schema": {"type": "string"},
        }
    return {**response, "headers": headers} if headers else response


def _example(status: int, code: str, error: type[PermafrostError]) -> dict[str, Any]:
    problem = Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=_meaning(error),
        code=code,
    )
    return problem.model_dump(mode="json")


def _meaning(error: type[PermafrostError]) -> str:
    return " ".join((error.__doc__ or "").split())

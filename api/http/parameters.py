"""Values that clients send, read and checked: JSON, numbers, words and the seconds to wait."""

import json
import re
from enum import StrEnum
from typing import Any, TypeVar

from flask import request

from worker.errors import InvalidRequestError

_PREFER_WAIT = re.compile(r'(?:^|[,;\s])wait\s*=\s*"?(\d{1,6})"?\s*(?:$|[,;])', re.IGNORECASE)

_Word = TypeVar("_Word", bound=StrEnum)


def json_body() -> Any:
    """Return the body of Flask's request as JSON; raise `InvalidRequestError`."""
    return parse_json(request.get_data(as_text=True))


def parse_json(text: str) -> Any:
    """Return the value of a JSON text; raise `InvalidRequestError` where it is none."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidRequestError(
            f"The request is not valid JSON: {error.msg} in line {error.lineno}, "
            f"column {error.colno}."
        ) from None
    except ValueError:  # Python's limit on the digits of a number
        raise InvalidRequestError("The request's JSON has a number of too many digits.") from None
    except RecursionError:
        raise InvalidRequestError("The request's JSON is nested too deeply.") from None


def preferred_wait() -> float | None:
    """Return the seconds that `Prefer: wait=` or `?wait=` asks for, or None."""
    text = request.args.get("wait")
    if text is None:
        return _wait_of(request.headers.get("Prefer", ""))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise InvalidRequestError(f"wait must be a number of seconds, not '{text[:40]}'.")
    return seconds


def _wait_of(prefer: str) -> float | None:
    """Return the seconds that the value of a `Prefer` header asks for, or None."""
    match = _PREFER_WAIT.search(prefer)
    return float(match[1]) if match else None


def whole_number(text: str | None, name: str, default: int, least: int, most: int) -> int:
    """Return a parameter as a number between two bounds; raise `InvalidRequestError`."""
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        raise InvalidRequestError(
            f"{name} must be a whole number from {least} to {most}, not '{text[:40]}'."
        )
    return int(text)


def one_of(words: type[_Word], name: str) -> _Word | None:
    """Return the query's parameter as one of some words, or None where it is left out."""
    text = request.args.get(name)
    if not text:
        return None
    try:
        return words(text)
    except ValueError:
        raise InvalidRequestError(
            f"{name} must be one of {', '.join(words)}, not '{text[:40]}'."
        ) from None

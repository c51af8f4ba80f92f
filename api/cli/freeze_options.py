"""What a person gives to `freeze`, as the server reads it."""

import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from api.client.uploads import path_text
from worker.errors import InvalidRequestError
from worker.models.labels import parse_labels

_WORDS: dict[str, bool] = {"true": True, "false": False}
_PRESET = re.compile(r"[a-z][a-z0-9_]*\Z")


def parse_set(given: Iterable[str]) -> dict[str, Any]:
    """Read `NODE=VALUE` pairs; a value is true, false, a number or a JSON list of them."""
    values: dict[str, Any] = {}
    for pair in given:
        node, equals, text = pair.partition("=")
        node = node.strip()
        if not equals or not node:
            raise InvalidRequestError(
                f"--set takes NODE=VALUE, such as keep_prob=1.0; '{path_text(pair)}' is not that."
            )
        if node in values:
            raise InvalidRequestError(f"--set names {path_text(node)} twice.")
        values[node] = _value(node, text.strip())
    return values


def _value(node: str, text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    wrong = InvalidRequestError(
        f"--set {path_text(node)}: '{path_text(text)}' is neither true nor false, a finite "
        "number, nor a JSON list of numbers."
    )
    for read in (int, float, _strict_json):
        try:
            value: Any = read(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, float) and not math.isfinite(value):
            raise wrong
        if isinstance(value, bool | int | float | list):
            return value
    raise wrong


def read_labels(path: Path) -> list[str]:
    """Read labels, one per line or in another form, as `parse_labels` takes them."""
    suffix = path.suffix.lower()
    return parse_labels(
        _read(path, "--labels"),
        path_text(str(path)),
        as_json=suffix == ".json",
        as_csv=suffix in (".csv", ".tsv"),
    )


def read_preprocessing(given: str) -> dict[str, Any]:
    """Read a preset's name, a JSON file, or JSON itself."""
    if given.lstrip().startswith("{"):
        fields = _json(given, None)
    elif _PRESET.match(given) and not Path(given).is_file():
        fields = {"preset": given}
    else:
        fields = _json(_read(Path(given), "--preprocessing"), Path(given))
    if isinstance(fields, str):
        fields = {"preset": fields}
    if not isinstance(fields, dict):
        raise InvalidRequestError("--preprocessing must be a preset or a JSON object of fields.")
    return fields


def _read(path: Path, option: str) -> str:
    try:
        return path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRequestError(
            f"{option}: {path_text(str(path))} is not a text file in UTF-8."
        ) from None
    except OSError as error:
        raise InvalidRequestError(
            f"{option}: {path_text(str(path))} cannot be read: {error.strerror}."
        ) from None


def _json(text: str, path: Path | None) -> Any:
    try:
        return _strict_json(text)
    except (ValueError, RecursionError) as error:
        where = "--preprocessing" if path is None else path_text(str(path))
        raise InvalidRequestError(f"{where} is not valid JSON: {error}.") from None


def _strict_json(text: str) -> Any:
    """Read JSON without the NaN and Infinity that Python would add to it."""
    return json.loads(text, parse_constant=_no_constant)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a number in JSON")

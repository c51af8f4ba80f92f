"""What a person gives to `freeze`, as the server reads it."""

import json
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from api.cli.text import path_text
from worker.errors import InvalidRequestError

_WORDS: dict[str, bool] = {"true": True, "false": False}
_NUMBERED = re.compile(r"(?P<number>\d{1,9})(?:\s*[:,\t]\s*|\s+)(?P<name>\S.*)")
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
    """Read labels, one per line, or a JSON list of them.

    Lines such as `12 tabby cat` are put in the order of their numbers, without them, if all lines
    have one and the numbers are those from 0, or from 1, without a gap. Otherwise a number is
    part of its label.
    """
    text = _read(path, "--labels")
    if path.suffix.lower() == ".json":
        found = _json(text, path)
        if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
            raise InvalidRequestError(f"{path_text(str(path))} must hold a JSON list of strings.")
        labels = [str(label) for label in found]
    else:
        labels = [line.strip() for line in text.rstrip().splitlines()]
        labels = _by_number(labels) or labels
    if not labels:
        raise InvalidRequestError(f"{path_text(str(path))} holds no labels.")
    if "" in labels:
        raise InvalidRequestError(
            f"Label {labels.index('') + 1} of {path_text(str(path))} is empty: "
            "labels are counted by lines, so none may be missing."
        )
    return labels


def _by_number(lines: Sequence[str]) -> list[str] | None:
    found = [_NUMBERED.fullmatch(line) for line in lines]
    numbered = {int(line["number"]): line["name"] for line in found if line}
    first = min(numbered, default=0)
    if first > 1 or sorted(numbered) != list(range(first, first + len(lines))):
        return None
    return [numbered[number] for number in sorted(numbered)]


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

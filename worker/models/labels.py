"""Labels as people keep them: one per line, with or without their numbers, or in another form."""

import json
import re
from collections.abc import Sequence

from worker.errors import InvalidRequestError
from worker.models.label_forms import in_order, labels_in_csv, labels_in_text

_NUMBERED = re.compile(r"(?P<number>\d{1,9})(?:\s*[:,\t]\s*|\s+)(?P<name>\S.*)")


def parse_labels(
    text: str, called: str, *, as_json: bool = False, as_csv: bool = False
) -> list[str]:
    """Read labels, one per line or in one of the forms of `label_forms`.

    Lines such as `12 tabby cat` are put in the order of their numbers, without them, if all lines
    have one and the numbers are those from 0, or from 1, without a gap. Otherwise a number is
    part of its label. `called` is how sentences call the text; `as_json` and `as_csv` say what its
    name promises.

    Raises `InvalidRequestError` where it holds no labels, or an empty one.
    """
    text = text.removeprefix("\N{BYTE ORDER MARK}")
    found = labels_in_text(text)
    if found is None and as_csv:
        found = labels_in_csv(text)
    if found is None and as_json:
        raise InvalidRequestError(_why_no_json(text, called))
    labels = _by_lines(text) if found is None else found
    if not labels:
        raise InvalidRequestError(f"{called} holds no labels.")
    if "" in labels:
        raise InvalidRequestError(
            f"Label {labels.index('') + 1} of {called} is empty: "
            "labels are counted by lines, so none may be missing."
        )
    return labels


def _by_lines(text: str) -> list[str]:
    lines = [line.strip() for line in text.rstrip().splitlines()]
    return _by_number(lines) or lines


def _why_no_json(text: str, called: str) -> str:
    try:
        if json.loads(text) == []:
            return f"{called} holds no labels."
    except (ValueError, RecursionError) as error:
        return f"{called} is not valid JSON: {error}."
    return (
        f"{called} must hold a JSON list of strings, or an object that gives each label its number "
        "or each number its label, from 0 on."
    )


def _by_number(lines: Sequence[str]) -> list[str] | None:
    found = [_NUMBERED.fullmatch(line) for line in lines]
    if not all(found):
        return None
    return in_order((int(line["number"]), line["name"]) for line in found if line)

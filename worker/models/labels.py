"""Labels as people keep them: one per line, with or without their numbers, or a JSON list."""

import json
import re
from collections.abc import Sequence

from worker.errors import InvalidRequestError

_NUMBERED = re.compile(r"(?P<number>\d{1,9})(?:\s*[:,\t]\s*|\s+)(?P<name>\S.*)")


def parse_labels(text: str, called: str, *, as_json: bool = False) -> list[str]:
    """Read labels, one per line, or (`as_json`) a JSON list of them.

    Lines such as `12 tabby cat` are put in the order of their numbers, without them, if all lines
    have one and the numbers are those from 0, or from 1, without a gap. Otherwise a number is
    part of its label. `called` is how sentences call the text.

    Raises `InvalidRequestError` where it holds no labels, or an empty one.
    """
    text = text.removeprefix("\N{BYTE ORDER MARK}")
    if as_json:
        labels = _from_json(text, called)
    else:
        labels = [line.strip() for line in text.rstrip().splitlines()]
        labels = _by_number(labels) or labels
    if not labels:
        raise InvalidRequestError(f"{called} holds no labels.")
    if "" in labels:
        raise InvalidRequestError(
            f"Label {labels.index('') + 1} of {called} is empty: "
            "labels are counted by lines, so none may be missing."
        )
    return labels


def _from_json(text: str, called: str) -> list[str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{called} is not valid JSON: {error}.") from None
    if not isinstance(found, list) or not all(isinstance(label, str) for label in found):
        raise InvalidRequestError(f"{called} must hold a JSON list of strings.")
    return [str(label) for label in found]


def _by_number(lines: Sequence[str]) -> list[str] | None:
    found = [_NUMBERED.fullmatch(line) for line in lines]
    numbered = {int(line["number"]): line["name"] for line in found if line}
    first = min(numbered, default=0)
    if first > 1 or sorted(numbered) != list(range(first, first + len(lines))):
        return None
    return [numbered[number] for number in sorted(numbered)]

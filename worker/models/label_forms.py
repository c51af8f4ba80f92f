"""The forms in which people keep the names of their classes, beside one per line.

JSON: a list, `class_indices` of Keras, `{"0": "cat"}`, ImageNet's `{"0": ["n01440764", "tench"]}`,
metadata with such a value in it. Text label maps of TensorFlow (`item { id: 1 name: 'cat' }`). CSV
with a column of numbers and one of names. Numbers must run from 0 or from 1 without a gap: only
then do they say which class each name belongs to.
"""

import csv
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

# Under which names metadata keeps labels.
LABEL_KEYS = (
    *("class_names", "labels", "classes", "class_labels", "categories", "names", "label_names"),
    *("class_indices", "class_index", "class_to_idx", "idx_to_class", "index_to_class"),
    *("index_to_label", "index_to_name", "label_map", "labelmap", "id2label", "label2id"),
    *("classNames", "wordLabels", "target_names"),
)
_NAME_KEYS = ("display_name", "displayName", "name", "label", "class_name", "className", "class")
_NUMBER_KEYS = ("id", "index", "idx", "class_id", "label_id", "class_index")
_HEADS = frozenset({*_NAME_KEYS, *LABEL_KEYS, "labelname", "category", "classname"})
_DEEPEST = 3  # objects within objects
_ITEM = re.compile(r"\bitem[ \t]{0,9}:?\s{0,9}\{([^{}]*)\}")
_ITEM_NUMBER = re.compile(r"\bid[ \t]{0,9}:\s{0,9}(\d{1,6})\b")
_ITEM_NAME = re.compile(
    r"\b(display_name|name)[ \t]{0,9}:\s{0,9}(\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*')"
)
_BARE_NUMBER = re.compile(r"([{,]\s*)(\d{1,6})(\s*:)")


def labels_in_json(value: Any, *, deepest: int = _DEEPEST) -> list[str] | None:
    """Return a JSON value as labels in their order; None where it is none of the forms."""
    if isinstance(value, list):
        return _of_list(value)
    if not isinstance(value, dict) or not value:
        return None
    if all(type(one) is int for one in value.values()):
        return in_order(zip(value.values(), value, strict=True))
    if all(key.isascii() and key.isdigit() and len(key) < 7 for key in value):
        return in_order((int(key), _last(name)) for key, name in value.items())
    if deepest == 0:
        return None
    found = [labels_in_json(value[key], deepest=deepest - 1) for key in LABEL_KEYS if key in value]
    known = [labels for labels in found if labels]
    return known[0] if known and all(labels == known[0] for labels in known) else None


def labels_in_text(text: str) -> list[str] | None:
    """Return labels of JSON, a printed list or dictionary of Python, or a label map; else None."""
    text = text.strip()
    if text[:1] in ("{", "[") and text[-1:] in ("}", "]"):
        try:
            return labels_in_json(json.loads(text))
        except (ValueError, RecursionError):
            pass
        if '"' not in text and "\\" not in text:  # as Python prints them
            try:
                as_json = _BARE_NUMBER.sub(r'\1"\2"\3', text.replace("'", '"'))
                return labels_in_json(json.loads(as_json))
            except (ValueError, RecursionError):
                return None
        return None
    return _in_map(text)


def labels_in_csv(text: str) -> list[str] | None:
    """Return the labels of a table with a column of numbers, or of one column; else None."""
    lines = text.splitlines()
    counted = {mark: lines[0].count(mark) for mark in ",;\t"} if lines else {}
    mark = max(counted, key=lambda one: counted[one], default=",")
    try:
        rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=mark)]
    except csv.Error:
        return None
    rows = [row for row in rows if any(row)]
    if not rows or len({len(row) for row in rows}) != 1:
        return None
    for head, body in ((None, rows), (rows[0], rows[1:])):
        found = _in_columns(head, list(zip(*body, strict=True)))
        if found is not None:
            return found
    return None


def in_order(pairs: Iterable[tuple[int, Any]]) -> list[str] | None:
    """Return the names by their numbers; None unless these run from 0 or 1 without a gap."""
    named = list(pairs)
    numbers = sorted(number for number, _ in named)
    if not numbers or numbers[0] not in (0, 1):
        return None
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        return None
    return _texts([name for _, name in sorted(named, key=lambda pair: pair[0])])


def _of_list(value: list[Any]) -> list[str] | None:
    if len(value) == 1 and isinstance(value[0], list):
        value = value[0]
    if all(isinstance(one, dict) for one in value):
        return _of_objects(value)
    if all(isinstance(one, list) and len(one) == 2 for one in value):
        for number, name in ((0, 1), (1, 0)):
            if value and all(type(one[number]) is int for one in value):
                return in_order((one[number], one[name]) for one in value)
    return _texts([_last(one) for one in value])


def _of_objects(value: Sequence[Mapping[str, Any]]) -> list[str] | None:
    """Return the labels of `[{"id": 0, "name": "cat"}, ...]`."""
    for key in _NAME_KEYS:
        if value and all(isinstance(one.get(key), str) for one in value):
            number = next(
                (n for n in _NUMBER_KEYS if all(type(o.get(n)) is int for o in value)), ""
            )
            if number:
                return in_order((one[number], one[key]) for one in value)
            return _texts([one[key] for one in value]) if len(value[0]) == 1 else None
    return None


def _in_map(text: str) -> list[str] | None:
    """Return the labels of a text label map: research/object_detection/protos in tensorflow/models.

    The names for display are taken where all have them.
    """
    if not text.startswith(("item", "#")):
        return None
    found = []
    for item in _ITEM.finditer(text):
        number = _ITEM_NUMBER.search(item[1])
        names = {
            name[1]: re.sub(r"\\(.)", r"\1", name[2][1:-1]) for name in _ITEM_NAME.finditer(item[1])
        }
        if number is None or not names:
            return None
        found.append((int(number[1]), names))
    kind = "display_name" if all("display_name" in names for _, names in found) else "name"
    return in_order((number, names.get(kind)) for number, names in found)


def _in_columns(head: list[str] | None, columns: list[tuple[str, ...]]) -> list[str] | None:
    """Return the labels of a table's columns, of which `head` holds the names, if it has them."""
    if not columns:
        return None
    if len(columns) == 1:
        named = head is not None and _plain(head[0]) in _HEADS
        return _texts(columns[0]) if named else None
    for place, column in enumerate(columns):
        if not all(cell.isascii() and cell.isdigit() and len(cell) < 7 for cell in column):
            continue
        numbers = [int(cell) for cell in column]
        others = [one for at, one in enumerate(columns) if at != place and _texts(one)]
        if head is not None and len(others) > 1:
            others = [
                one
                for at, one in enumerate(columns)
                if at != place and _texts(one) and _plain(head[at]) in _HEADS
            ]
        found = in_order(zip(numbers, others[0], strict=True)) if len(others) == 1 else None
        # Numbers of samples and their classes are numbers too, and one class has many samples.
        named = found is not None and not all(name.isdigit() for name in found)
        if found is not None and named and len(set(found)) == len(found):
            return found
    return None


def _texts(found: Sequence[Any]) -> list[str] | None:
    """Return what are texts; None where one is none."""
    return list(found) if found and all(isinstance(one, str) for one in found) else None


def _last(value: Any) -> Any:
    """Return the name of `["n01440764", "tench"]`."""
    return value[-1] if isinstance(value, list) and value else value


def _plain(text: str) -> str:
    return text.strip().lower().replace(" ", "_")

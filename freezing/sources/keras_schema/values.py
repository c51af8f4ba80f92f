"""Plain values of a configuration: checked by kind, and rebuilt from what was checked.

Each reader returns a new value, made of numbers, of texts out of a list, and of lists of these;
what it does not know it refuses with `WrongValueError`. None, which stands for "as usual", is let
through by all.
"""

import math
import re
from collections.abc import Callable
from typing import Any

from freezing.sources.keras_schema.parts import ALSO_NUMBERS, CHOICES, DTYPES
from freezing.sources.keras_schema.violations import WrongValueError, shown

MOST_SIZE = 2**31 - 1  # of one dimension; a .pb file holds 2 GiB
_MOST_COUNT = 1000  # of what is repeated while the model is built
_MOST_NUMBER = 2**64
_MOST_NESTING = 16  # of lists in lists
_MOST_NAME = 500  # in characters
_MOST_TEXT = 10_000  # of a word of a vocabulary, in characters
_EQUATION = re.compile(r"[A-Za-z.]{0,40}(,[A-Za-z.]{0,40}){0,8}->[A-Za-z.]{0,40}")
_LETTERS = re.compile(r"[A-Za-z]{0,40}")
_KEYWORD = re.compile(r"[a-z][a-z0-9_]{0,60}")
_SHAPE_KEY = re.compile(r"([a-z0-9_]{1,60}_)?(shape|shapes|shapes_dict)")
_SEQUENCES = frozenset({"__tuple__", "TensorShape"})  # that hold `items`
_ARRAYS = frozenset({"__numpy__", "__tensor__"})


def flag(value: Any) -> bool | int | None:
    """Read true or false."""
    if value is None or isinstance(value, bool) or (isinstance(value, int) and value in (0, 1)):
        return value
    raise WrongValueError("neither true nor false")


def size(value: Any) -> int | None:
    """Read a size, such as a number of units."""
    if value is None:
        return None
    whole = _whole(value)
    if not -1 <= whole <= MOST_SIZE:
        raise WrongValueError(f"not a size of at most {MOST_SIZE}")
    return whole


def count(value: Any) -> int | None:
    """Read how often something is done."""
    whole = size(value)
    if whole is not None and whole > _MOST_COUNT:
        raise WrongValueError(f"more than {_MOST_COUNT} times")
    return whole


def identity(value: Any) -> int | None:
    """Read by which number Keras knows an object that several layers share."""
    if value is None:
        return None
    whole = _whole(value)
    if abs(whole) > _MOST_NUMBER:
        raise WrongValueError("too large a number")
    return whole


def number(value: Any) -> float | int | bool | None:
    """Read one number."""
    if value is None or isinstance(value, bool):
        return value
    if not isinstance(value, int | float):
        raise WrongValueError("not a number")
    if isinstance(value, float) and math.isnan(value):
        raise WrongValueError("not a number")
    if isinstance(value, int) and abs(value) > _MOST_NUMBER:
        raise WrongValueError("too large a number")
    return value


def integers(value: Any, nesting: int = 0) -> Any:
    """Read whole numbers: one, or lists of them, as of shapes and axes."""
    if value is None:
        return None
    found = _items(value, nesting)
    if found is not None:
        return _like(value, [integers(one, nesting + 1) for one in found])
    if isinstance(value, dict):
        return _array(value)
    whole = _whole(value)
    if abs(whole) > MOST_SIZE:
        raise WrongValueError(f"larger than {MOST_SIZE}")
    return whole


def numbers(value: Any, nesting: int = 0) -> Any:
    """Read numbers: one, or lists of them, or an array."""
    found = _items(value, nesting)
    if found is not None:
        return _like(value, [numbers(one, nesting + 1) for one in found])
    return _array(value) if isinstance(value, dict) else number(value)


def name(value: Any) -> str | None:
    """Read the name of a layer."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise WrongValueError("not a text")
    if not 0 < len(value) <= _MOST_NAME or not value.isprintable():
        raise WrongValueError(f"not a name of 1 to {_MOST_NAME} printable characters")
    if value.startswith("/") or ".." in value.replace("\\", "/").split("/"):
        raise WrongValueError("not a name but a path")
    return str(value)


def dtype_name(value: Any) -> str | None:
    """Read the name of a dtype."""
    if value is None:
        return None
    if isinstance(value, str) and value in DTYPES:
        return str(value)
    raise WrongValueError("not a dtype that is known")


def choice(field: str, value: Any) -> Any:
    """Read a text out of the list of those that the field may have."""
    if value is None or (isinstance(value, str) and value in CHOICES[field]):
        return value
    if not isinstance(value, str) and field in ALSO_NUMBERS:
        return numbers(value)
    raise WrongValueError(f"not one of {', '.join(sorted(CHOICES[field]))}")


def equation(value: Any) -> str | None:
    """Read the equation of an einsum."""
    if value is None:
        return None
    if isinstance(value, str) and _EQUATION.fullmatch(value.replace(" ", "")):
        return str(value)
    raise WrongValueError("not an equation such as abc,cd->abd")


def letters(value: Any) -> str | None:
    """Read the letters of an equation that a bias has."""
    if value is None or (isinstance(value, str) and _LETTERS.fullmatch(value)):
        return value
    raise WrongValueError("not letters of its equation")


def clipping(value: Any) -> Any:
    """Read how far renormalisation may go."""
    if value is None:
        return None
    if isinstance(value, dict) and value.keys() <= {"rmin", "rmax", "dmax"}:
        return {key: number(one) for key, one in value.items()}
    raise WrongValueError("not made of rmin, rmax and dmax")


def token(value: Any) -> Any:
    """Read a word or number that a lookup layer keeps."""
    if isinstance(value, str):
        if len(value) > _MOST_TEXT or not _is_plain(value):
            raise WrongValueError("not a word")
        return str(value)
    return numbers(value)


def vocabulary(value: Any) -> Any:
    """Read the words of a lookup layer; a text would be the name of a file."""
    if isinstance(value, str):
        raise WrongValueError("the name of a file, which is not read")
    found = _items(value, 0)
    return token(value) if found is None else [token(one) for one in found]


def nothing(value: Any) -> None:
    """Read what may only be missing."""
    if value is not None:
        raise WrongValueError("not known here")


def constants(value: Any) -> Any:
    """Read the constants of an op by the number of its input."""
    if value is None:
        return None
    if isinstance(value, dict) and all(key.isdecimal() and len(key) < 4 for key in value):
        return {key: numbers(one) for key, one in value.items()}
    raise WrongValueError("not numbers by the input that takes them")


def shapes(value: Any, nesting: int = 0) -> Any:
    """Read what a layer was built with: shapes, by the argument that each is for."""
    if not isinstance(value, dict) or "class_name" in value:
        return integers(value)
    if nesting > 2 or not all(isinstance(k, str) and _KEYWORD.fullmatch(k) for k in value):
        raise WrongValueError("not made of shapes")
    if nesting == 0 and not all(_SHAPE_KEY.fullmatch(key) for key in value):
        raise WrongValueError("not made of shapes")
    return {key: shapes(one, nesting + 1) for key, one in value.items()}


READERS: dict[str, Callable[[Any], Any]] = {
    "flag": flag,
    "size": size,
    "count": count,
    "number": number,
    "integers": integers,
    "numbers": numbers,
    "name": name,
    "dtype_name": dtype_name,
    "equation": equation,
    "letters": letters,
    "clipping": clipping,
    "token": token,
    "vocabulary": vocabulary,
    "nothing": nothing,
    "constants": constants,
}


def is_array(value: Any) -> bool:
    """Whether this is an array of numbers as Keras writes it."""
    return isinstance(value, dict) and value.get("class_name") in _ARRAYS


def _array(value: dict[str, Any]) -> dict[str, Any]:
    inner = value.get("config")
    if not is_array(value) or not isinstance(inner, dict) or not inner.keys() <= {"value", "dtype"}:
        raise WrongValueError("not a number")
    return {
        "class_name": value["class_name"],
        "config": {"value": numbers(inner.get("value")), "dtype": dtype_name(inner.get("dtype"))},
    }


def _whole(value: Any) -> int:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise WrongValueError("not a whole number")
    return value


def _items(value: Any, nesting: int) -> list[Any] | None:
    """Return what a list or a tuple holds; None where it is neither."""
    if isinstance(value, dict) and value.get("class_name") in _SEQUENCES:
        if value.keys() != {"class_name", "items"} or not isinstance(value["items"], list | None):
            raise WrongValueError(f"not a list: {shown(value)}")
        value = value["items"] or []
    if not isinstance(value, list):
        return None
    if nesting > _MOST_NESTING:
        raise WrongValueError("nested too deeply")
    return value


def _like(value: Any, items: list[Any]) -> Any:
    """Return the items in a list, or as the tuple that `value` is."""
    if isinstance(value, dict):
        return {"class_name": "__tuple__", "items": items}
    return items


def _is_plain(text: str) -> bool:
    return not any(0xD800 <= ord(char) < 0xE000 or char == "\0" for char in text)

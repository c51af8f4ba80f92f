"""What all requests have in common: how they are parsed, and the error about a wrong field."""

import json
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from worker.contract.base import MODEL
from worker.errors import InvalidRequestError
from worker.printable import LONGEST_SHOWN, no_field, printable

_SHOWN = 40  # characters of a wrong value
_MUST: Final = {  # by pydantic's types of errors
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), "a number"),
    "bool_type": "true or false",
    "string_type": "a text",
    **dict.fromkeys(("list_type", "tuple_type"), "a list"),
    **dict.fromkeys(("dict_type", "model_type"), "an object"),
    "string_too_long": "at most {max_length} characters long",
    "string_too_short": "at least {min_length} characters long",
    "too_long": "a list of at most {max_length}",
    "too_short": "a list of at least {min_length}",
    "greater_than": "above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:.12g}",
}


# Of JSON, where "1" and true are no numbers, and 1 and "yes" are not true.
Flag = Annotated[bool, Field(strict=True)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]


def _integral(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Marks strict whole numbers, behind what else is said of them: 2.0 is one in JSON.
INTEGRAL: Final = BeforeValidator(_integral)

MOST_TOP: Final = 999_999_999  # any number: more than there are classes means all
TOP_MEANS: Final = "How many labels are answered; more than there are means all."
MODEL_MEANS: Final = (
    "`NAME`, `NAME@VERSION` or `NAME@ALIAS`; needed where there is more than one model."
)
# Only documented: looking for the model says what is wrong with a name.
NAMED: Final[dict[str, Any]] = {"pattern": MODEL}
WEBHOOK_MEANS: Final = (
    "Address that is told when the job has ended; https and public, unless the operator lists the "
    "host."
)


class Request(BaseModel):
    """Fields that a client sends. One that is not known is refused, and the nearest offered."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    called: ClassVar[str]  # in sentences

    @classmethod
    def parse(cls, fields: Any) -> Self:
        """Read the fields of a request; raise `InvalidRequestError` naming the wrong one."""
        if not isinstance(fields, dict):
            raise InvalidRequestError(f"The {cls.called} must be a JSON object.")
        try:
            json.dumps(fields, ensure_ascii=False).encode()
            return cls.model_validate(fields)
        except UnicodeEncodeError:  # half a surrogate pair, which JSON can spell
            raise InvalidRequestError(f"The {cls.called} holds text that is no Unicode.") from None
        except ValidationError as error:
            raise InvalidRequestError(_sentence(error.errors()[0], cls)) from None
        except RecursionError:
            raise InvalidRequestError(f"The {cls.called} is nested too deeply.") from None

    @classmethod
    def names(cls) -> list[str]:
        """Return how clients spell its fields."""
        return [field.alias or name for name, field in cls.model_fields.items()]


class Query(BaseModel):
    """Parameters of an address, as text. One that is not known is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    @classmethod
    def parse(cls, given: dict[str, str]) -> Self:
        """Read them; raise `InvalidRequestError` naming the wrong one. An empty one is none."""
        known = {name: text for name, text in given.items() if text and name in cls.model_fields}
        try:
            return cls.model_validate(known)
        except ValidationError as error:
            raise InvalidRequestError(said(error.errors()[0])) from None


def _sentence(error: ErrorDetails, model: type[Request]) -> str:
    """Return what is wrong with the first field that is."""
    if error["type"] == "extra_forbidden":
        return no_field(model.called, _place(error), model.names())
    return said(error)


def said(error: ErrorDetails, within: str = "") -> str:
    """Return what is wrong with a value, in a sentence that begins with where it stands.

    `within`: the name of what it is part of.
    """
    place = ".".join(filter(None, [within, _place(error)]))
    value, more = error["input"], error.get("ctx", {})
    found = f", not '{printable(value)[:_SHOWN]}'" if isinstance(value, str) else ""
    if error["type"] in ("literal_error", "enum"):
        expected = more["expected"].replace("'", "").replace("True", "true")
        return f"{place} must be {expected}{found}."
    if must := _MUST.get(error["type"]):
        return f"{place} must be {must.format(**more)}{found}."
    return f"{place}: {error['msg'].removeprefix('Value error, ')}."


def _place(error: ErrorDetails) -> str:
    return printable(".".join(str(part) for part in error["loc"]))[:LONGEST_SHOWN]

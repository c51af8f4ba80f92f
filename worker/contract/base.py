"""What the models of answers have in common."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Final, ParamSpec, TypeVar, overload

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticSerializationError

Given = ParamSpec("Given")
Made = TypeVar("Made", bound=BaseModel)

JOB_ID: Final = "^[0-9a-hjkmnp-tv-z]{26}$"  # a ULID in lower case
# As `worker.models.manifest` has them.
MODEL_NAME: Final = "^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"
ALIAS: Final = "^[a-z][a-z0-9_-]{0,31}$"
VERSION: Final = f"^([1-9][0-9]{{0,8}}|{ALIAS.strip('^$')})$"  # a number or an alias
# `NAME` or `NAME@VERSION`; empty: none.
MODEL: Final = f"^({MODEL_NAME.strip('^$')}(@{VERSION.strip('^$')})?)?$"
KEY_ID: Final = "^[0-9a-f]{12}$"


class Answered(BaseModel):
    """Part of an answer. What a later Permafrost adds is passed over."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def rfc3339(moment: datetime) -> str:
    """Return a time as RFC 3339 in UTC with milliseconds."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
JobId = Annotated[str, Field(pattern=JOB_ID)]
Count = Annotated[int, Field(ge=0)]


def left_out(description: str, **said: Any) -> Any:
    """Return a field that is not there, and never null, where there is nothing to say.

    `said`: what else stands in its schema.
    """

    def never_null(schema: dict[str, Any]) -> None:
        schema.pop("default", None)
        (kept,) = [kind for kind in schema.pop("anyOf") if kind.get("type") != "null"]
        schema.update({**kept, **schema, **said})

    return Field(default=None, description=description, json_schema_extra=never_null)


@overload
def moment(milliseconds: int) -> datetime: ...
@overload
def moment(milliseconds: int | None) -> datetime | None: ...
def moment(milliseconds: int | None) -> datetime | None:
    """Return a time in milliseconds since 1970 as an answer has it."""
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)


def built(model: Callable[Given, Made], /, *_: Given.args, **values: Given.kwargs) -> Made:
    """Return a model of values that are known to be right; they are not validated.

    What an earlier Permafrost wrote need not fit, and is handed on all the same. What is not given
    is not in the answer (`exclude_unset`). Type checkers see the model's own parameters, and tests
    validate what is answered.
    """
    made: Any = object.__new__(model)  # type: ignore[arg-type]  # it is a class
    object.__setattr__(made, "__dict__", values)
    object.__setattr__(made, "__pydantic_fields_set__", set(values))
    object.__setattr__(made, "__pydantic_extra__", None)
    object.__setattr__(made, "__pydantic_private__", None)
    return made  # type: ignore[no-any-return]  # of that class


def as_json(answer: BaseModel) -> dict[str, Any]:
    """Return an answer as it is sent, for JSON: without what was not given."""
    return answer.model_dump(mode="json", exclude_unset=True, warnings=False)


def as_text(answer: BaseModel) -> str:
    """Return an answer as JSON: without what was not given."""
    try:
        return answer.model_dump_json(exclude_unset=True, warnings=False)
    except PydanticSerializationError:  # a name of a file that is no Unicode
        return json.dumps(as_json(answer), separators=(",", ":"))

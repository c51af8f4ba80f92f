"""What the fields of records that processes exchange are made of: strict, and bounded."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

MOST_NAME = 4000
Count = Annotated[int, Field(ge=0, le=2**53)]
Name = Annotated[str, Field(max_length=MOST_NAME)]
Text = Annotated[str, Field(max_length=8000)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class Record(BaseModel):
    """What crosses from one process to another."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

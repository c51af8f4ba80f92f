"""What is said where something went wrong."""

from pydantic import Field

from worker.contract.base import Answered


class Problem(Answered):
    """Why a request was refused, as RFC 9457 has it."""

    type: str = Field(description="`about:blank`: `title` and `code` say what it is.")
    title: str = Field(description="What the status means.")
    status: int = Field(ge=400, le=599)
    detail: str = Field(description="A sentence for a person: what is wrong and what to do.")
    code: str = Field(description="A word for a program, which does not change.")


class Fault(Answered):
    """Why a job or an image failed."""

    code: str = Field(description="A word for a program, which does not change.")
    message: str = Field(description="A sentence for a person.")

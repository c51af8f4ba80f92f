"""API keys: requests for them, and answers about them."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from worker.contract.base import KEY_ID, Answered, Time
from worker.contract.requests import Number, Request

ScopeName = Literal["submit", "read", "freeze", "admin"]
KeyId = Annotated[str, Field(pattern=KEY_ID)]

_MOST_DAYS = 3650
_MOST_RATE = 1_000_000
_MOST_GRACE_S = 366 * 24 * 3600

Days = Annotated[Number, Field(gt=0, le=_MOST_DAYS)]


class KeyRequest(Request):
    """An API key to make."""

    called: ClassVar[str] = "request"

    name: str = Field(
        min_length=1, max_length=100, description="One line, such as who uses the key."
    )
    scopes: list[ScopeName] = Field(min_length=1, description="What it allows.")
    expires_days: Days | None = Field(None, description="null: it does not expire.")
    rate: Annotated[Number, Field(gt=0, le=_MOST_RATE)] | None = Field(
        None, description="Submissions per second; null: as the settings say."
    )


class RenewRequest(Request):
    """How a key is made anew."""

    called: ClassVar[str] = "request"

    grace_s: Annotated[Number, Field(ge=0, le=_MOST_GRACE_S)] | None = Field(
        None, description="Seconds for which the old one still works; null: a day; 0 ends it."
    )
    expires_days: Days | None = Field(
        None, description="From now; null: as long as it was made for."
    )


class Key(Answered):
    """What is known of a key, but for the key itself."""

    id: KeyId
    name: str
    scopes: list[ScopeName]
    state: Literal["active", "expired", "revoked"]
    created_at: Time
    last_used_at: Time | None = Field(description="To the minute.")
    expires_at: Time | None
    revoked_at: Time | None
    rate: float | None = Field(description="Submissions per second; null: as the settings say.")


class NewKey(Key):
    """A key that was made or renewed."""

    key: str = Field(description="The key itself; it is never shown again.")


class KeyList(Answered):
    """All keys, oldest first."""

    keys: list[Key]


class OwnGrant(Answered):
    """What the request's own key allows."""

    id: str
    name: str
    scopes: list[ScopeName]


class OwnKey(Answered):
    """The key that the request was sent with."""

    key: OwnGrant | None = Field(description="null where no key is needed.")

"""Models and their versions, and requests that change them."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from worker.contract.base import Answered, Count, Sha256, Time, left_out
from worker.contract.requests import INTEGRAL, Query, Request
from worker.models.basis import BasisKind
from worker.models.manifest import Manifest, Runtime

_MOST_VERSION = 2**31 - 1  # nobody publishes so many

VersionState = Literal["published", "set_aside"]


class PreprocessingChoice(Answered):
    """A way to prepare images that may be meant where something is assumed."""

    preprocessing: dict[str, Any] = Field(description="As a freeze takes it.")
    reason: str = Field(description="When it is right: completes `if`.")
    command: str = Field(description="What to type to have images prepared so.")


class SetAsideWhy(Answered):
    """Why no worker loads a version."""

    code: str = Field(description="`timed_out`, `out_of_memory`, `crashed` or `retired`.")
    reason: str = Field(description="Completes: NAME@VERSION was set aside because ...")
    at: Time


class VersionSummary(Answered):
    """A version in a list."""

    version: int = Field(gt=0)
    sha256: Sha256
    bytes: Count
    runtime: Runtime
    classifies: bool = Field(description="Whether images can be classified with it.")
    created_at: datetime
    labels: int | None = Field(description="How many it has; null for none.")
    basis: BasisKind | None = Field(description="On what its preprocessing rests.")
    state: VersionState
    set_aside: SetAsideWhy | None = Field(description="Why, where it is.")


class ModelSummary(Answered):
    """A model with its versions, oldest first, in a list."""

    name: str
    aliases: dict[str, int] = Field(description="The version that each alias means.")
    versions: list[VersionSummary]
    damaged: list[str] = Field(description="A sentence for each version that cannot be read.")


class ModelList(Answered):
    """All models."""

    models: list[ModelSummary]


class Version(Manifest):
    """A version: its manifest, and what is assumed of how it prepares images."""

    assumption: str | None = Field(
        description="What is assumed, and what to type to compare what may be meant; null where "
        "nothing is."
    )
    choices: list[PreprocessingChoice] = Field(
        description="What may be meant, first that the assumption is right."
    )


class ListedVersion(Version):
    """A version of a model that is read as a whole."""

    model_config = ConfigDict(json_schema_extra=lambda schema: schema["required"].remove("report"))

    report: dict[str, Any] | None = left_out("Only where the version itself is read.")  # type: ignore[assignment]  # there it always is
    state: VersionState
    set_aside: SetAsideWhy | None = Field(description="Why, where it is.")


class Model(Answered):
    """A model with its versions' manifests, oldest first."""

    name: str
    aliases: dict[str, int] = Field(description="The version that each alias means.")
    versions: list[ListedVersion]
    damaged: list[str] = Field(description="A sentence for each version that cannot be read.")


class AliasRequest(Request):
    """What an alias is to mean."""

    called: ClassVar[str] = "request"

    version: Annotated[int, Field(strict=True, ge=1, le=_MOST_VERSION), INTEGRAL]


class Retired(ModelSummary):
    """A model of which a version was retired."""

    moved: dict[str, int | None] = Field(
        description="What each alias means now that meant the version; null: it was removed."
    )


class RetireQuery(Query):
    """How a version is retired."""

    force: Literal["true", "false"] = Field(
        "false", description="Also where an alias means it; jobs that wait for it fail."
    )

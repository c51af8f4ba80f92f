"""What a freeze, an inspection or a republication asks for, as the API accepts it."""

import math
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator

from worker.contract.base import ALIAS, MODEL_NAME, VERSION
from worker.contract.requests import WEBHOOK_MEANS, Flag, Request
from worker.errors import InvalidRequestError, NewerRequestError
from worker.models.labels import parse_labels
from worker.models.manifest import Runtime, Scores, check_alias_name, check_model_name
from worker.models.preprocessing import PreprocessingSpec, Preset
from worker.printable import LONGEST_SHOWN, printable

_MOST_LABELS = 100_000
# As `_leads_out` has it: no part is `..`, and there is something.
_INSIDE = r"^(?!(.*/)?\.\.(/|$))[^\x00]*\S[^\x00]*$"
MOST_SAMPLES = 32  # images of a job that a freeze is verified with

Value = bool | int | float | list[Any]
# The same as the document says it; reading checks it itself, at any depth.
Constant = bool | float | list[bool | float | list[Any]]
Labels = Annotated[list[str], Field(min_length=1, max_length=_MOST_LABELS)]
LabelText = Annotated[str, Field(pattern=r"\S")]
Which = Annotated[str, Field(pattern=VERSION)] | Annotated[int, Field(ge=1, lt=1_000_000_000)]
Prepared = Preset | PreprocessingSpec | None


class InspectionRequest(Request):
    """A source to look into: where it is, and what of it is meant."""

    called = "inspection request"

    source: str | None = Field(
        None,
        max_length=4096,
        description="Path under a sources root: a folder, a checkpoint prefix or a file. "
        "null where the files were uploaded.",
    )
    signature: str | None = Field(
        None, max_length=256, description="Which signature of a SavedModel; null: the usual one."
    )
    checkpoint: str | None = Field(
        None,
        max_length=1024,
        description="Which checkpoint (its prefix) or model file, where the source holds several.",
    )

    webhook: str | None = Field(None, description=WEBHOOK_MEANS)

    @field_validator("source")
    @classmethod
    def _source(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if _leads_out(value):
            raise InvalidRequestError("source must be a path below a sources root, without '..'.")
        return value

    @field_validator("checkpoint")
    @classmethod
    def _checkpoint(cls, value: str | None) -> str | None:
        if value is not None:
            path = PurePosixPath(value)
            if ".." in path.parts or path.is_absolute() or "\0" in value or not value.strip():
                raise InvalidRequestError("checkpoint must be a name inside the source.")
        return value

    @classmethod
    def of_job(cls, options: Mapping[str, Any]) -> Self:
        """Read what `as_options` gave in this Permafrost or in another.

        Raises `NewerRequestError` where it asks for what this one does not know: to pass it over
        would be to do something else.
        """
        try:
            return cls.parse(dict(options))
        except InvalidRequestError as error:
            raise NewerRequestError(
                f"The worker that took this job is of an older Permafrost than the one that "
                f"accepted it, and does not know all that it asks for ({error.message}) Upgrade "
                "the freezing worker, then submit it again."
            ) from error


class _MakesVersion(BaseModel):
    """What a request says of the version that is to be published."""

    @field_validator("alias", check_fields=False)
    @classmethod
    def _alias(cls, value: str) -> str:
        return check_alias_name(value)

    @field_validator(
        "labels",
        mode="before",
        check_fields=False,
        json_schema_input_type=Labels | LabelText | None,
    )
    @classmethod
    def _labels(cls, value: Any) -> Any:
        return parse_labels(value, "labels") if isinstance(value, str) else value


class FreezeRequest(_MakesVersion, InspectionRequest):
    """A model to freeze: where its source is and what of it to keep."""

    called = "freeze request"

    name: str = Field(json_schema_extra={"pattern": MODEL_NAME})
    inputs: list[str] = Field(default_factory=list, max_length=64)
    outputs: list[str] = Field(default_factory=list, max_length=64)
    set: dict[str, Value] = Field(
        default_factory=dict, max_length=256, description="Constants for placeholders, by name."
    )
    labels: Labels | None = Field(
        None,
        description="One per class, in order; or the text of a file with one per line, also as "
        "`12 some name`. null: those that the source carries, if it does.",
    )
    preprocessing: PreprocessingSpec = Field(default_factory=PreprocessingSpec)
    scores: Scores | None = None
    alias: str = Field("stable", json_schema_extra={"pattern": ALIAS})
    optimise: Flag = Field(
        True, description="Whether constants and batch normalisation are folded."
    )
    batch: Literal["keep", "free"] = Field(
        "keep", description="`free` makes a fixed batch dimension of the input variable."
    )
    averages: Flag = Field(
        False,
        description="Take the moving averages of the weights that the source keeps, in place of "
        "the last weights.",
    )
    statistics: Literal["moving", "image"] | None = Field(
        None,
        description="With which statistics batch normalisation answers that was left in training "
        "mode: the `moving` averages that training kept, or those of each `image` alone. null: the "
        "moving averages of a training graph, and what a Keras file or a SavedModel says.",
    )
    runtime: Runtime = "tensorflow"
    samples: list[str] = Field(
        default_factory=list,
        max_length=MOST_SAMPLES,
        description="Images under a sources root to verify with, beside those made up.",
    )

    examples: str | None = Field(
        None,
        max_length=4096,
        description="Pictures whose label is known, by which the preprocessing is decided: a path "
        "under a sources root to a folder with a sub-folder for each label, to a CSV of files and "
        "their labels, or to an archive of either. null where they were uploaded, or there are "
        "none.",
    )

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        return check_model_name(value)

    @field_validator("samples")
    @classmethod
    def _samples(cls, value: list[str]) -> list[str]:
        if any(_leads_out(path) for path in value):
            raise InvalidRequestError("samples must be paths below a sources root, without '..'.")
        return value

    @field_validator("examples")
    @classmethod
    def _examples(cls, value: str | None) -> str | None:
        if value is not None and _leads_out(value):
            raise InvalidRequestError("examples must be a path below a sources root, without '..'.")
        return value

    @field_validator("preprocessing", mode="before", json_schema_input_type=Prepared)
    @classmethod
    def _preprocessing(cls, value: Any) -> PreprocessingSpec:
        return PreprocessingSpec.parse(value)

    @field_validator("set", mode="before", json_schema_input_type=dict[str, Constant])
    @classmethod
    def _set(cls, value: Any) -> Any:
        for name, constant in value.items() if isinstance(value, dict) else ():
            if not _is_constant(constant):
                shown = printable(str(name))[:LONGEST_SHOWN]
                raise InvalidRequestError(
                    f"The constant for '{shown}' in `set` must be a finite number, true, false or "
                    "a list of these."
                )
        return value


class PreparedRequest(_MakesVersion, Request):
    """What is to be different from a version in the next one: the graph is the same."""

    called = "republish request"

    preprocessing: PreprocessingSpec | None = Field(
        None, description="A preset or fields; what is left out stays as it is."
    )
    labels: Labels | None = Field(
        None,
        description="As for a freeze; null: they stay as they are.",
    )
    scores: Scores | None = Field(None, description="null: what is done with them stays.")
    alias: str = Field(
        "stable",
        description="What is moved to the new version.",
        json_schema_extra={"pattern": ALIAS},
    )

    @field_validator("preprocessing", mode="before", json_schema_input_type=Prepared)
    @classmethod
    def _preprocessing(cls, value: Any) -> PreprocessingSpec | None:
        return None if value is None else PreprocessingSpec.parse(value)


class RepublishRequest(PreparedRequest):
    """A version to publish again as the next one: the same graph, but images prepared otherwise."""

    version: str = Field(
        "stable", alias="from", description="The version or the alias of which it is made."
    )

    @field_validator("version", mode="before", json_schema_input_type=Which)
    @classmethod
    def _version(cls, value: Any) -> Any:
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class SourceInspectionRequest(InspectionRequest):
    """A source on the server to look into."""

    source: str = Field(
        max_length=4096,
        json_schema_extra={"pattern": _INSIDE},
        description="Path under a sources root: a folder, a checkpoint prefix or a file.",
    )


class SourceFreezeRequest(FreezeRequest):
    """A source on the server to freeze."""

    source: str = Field(
        max_length=4096,
        json_schema_extra={"pattern": _INSIDE},
        description="Path under a sources root: a folder, a checkpoint prefix or a file.",
    )


class ComparisonRequest(BaseModel):
    """A version to try on images, as it was pinned when the job was accepted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    version: int = Field(gt=0)
    sha256: str
    digest: str = Field(description="Of all that decides its answers.")
    top: int = Field(gt=0)
    webhook: str | None = None


def as_options(asked: InspectionRequest | ComparisonRequest) -> dict[str, Any]:
    """Return the options that workers get: what was asked for, without defaults.

    So a field that is added later is not there unless somebody asked for it, and workers of an
    older Permafrost go on. No worker has to know the webhook.
    """
    return asked.model_dump(mode="json", exclude={"webhook"}, exclude_defaults=True)


def _leads_out(path: str) -> bool:
    return ".." in PurePosixPath(path).parts or "\0" in path or not path.strip()


def _is_constant(value: Any) -> bool:
    if isinstance(value, list):
        return all(_is_constant(one) for one in value)
    return isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))

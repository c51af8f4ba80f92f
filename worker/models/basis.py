"""On what a version's preprocessing rests: who or what said how its images are prepared.

Answers are right only if images are prepared as they were for training, and nobody but the people
who trained the model knows that for certain. So each version says how much its preprocessing is to
be believed, and where it is `assumed`, answers come with a warning.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from worker.models.preprocessing import PRESETS, PreprocessingSpec

# stated: a person said it; proven: by examples; read: from the graph; recognised: as the product of
# a known exporter; assumed: it is the likeliest, and may be wrong.
BasisKind = Literal["stated", "read", "recognised", "proven", "assumed"]
# What decides the answers and can be mistaken without any error.
Aspect = Literal["scaling", "color", "size"]

MOST_REASONS, MOST_ALTERNATIVES = 32, 16
_Text = Annotated[str, Field(max_length=2000)]
_BELIEF: Final[tuple[BasisKind, ...]] = ("assumed", "recognised", "read", "proven", "stated")
# What numbers pixels become.
VALUES: Final = frozenset({"preset", "scale", "mean", "std", "standardise"})


class Alternative(BaseModel):
    """Another way to prepare images that may be meant."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, json_schema_serialization_defaults_required=True
    )

    preprocessing: PreprocessingSpec = Field(
        description="As `preprocessing` of a freeze; what it leaves out stays as it is."
    )
    reason: _Text = Field(description="When it would be right, in words.")

    @field_serializer("preprocessing")
    def _as_given(self, spec: PreprocessingSpec) -> dict[str, Any]:
        return spec.model_dump(mode="json", exclude_none=True)


class Basis(BaseModel):
    """What a version's preprocessing rests on."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, json_schema_serialization_defaults_required=True
    )

    kind: BasisKind = Field(
        description="Of what is believed least: `assumed` as long as anything that decides the "
        "answers is."
    )
    fields: dict[Aspect, BasisKind] = Field(
        default_factory=dict, description="How each thing that decides the answers is known."
    )
    reasons: list[_Text] = Field(
        default_factory=list,
        max_length=MOST_REASONS,
        description="What shows it, in words.",
    )
    alternatives: list[Alternative] = Field(
        default_factory=list,
        max_length=MOST_ALTERNATIVES,
        description="What else may be meant, likeliest first.",
    )

    @property
    def assumed(self) -> list[Aspect]:
        """What may be wrong, in the order of `fields`."""
        if self.kind != "assumed":
            return []
        found: list[Aspect] = [one for one, kind in self.fields.items() if kind == "assumed"]
        return found or ["scaling", "color"]


def said_by(spec: PreprocessingSpec) -> frozenset[Aspect]:
    """Return which of what decides the answers is said in `spec`."""
    given = spec.model_dump(exclude_none=True).keys()
    said: set[Aspect] = set()
    if given & VALUES:
        said.add("scaling")
    if "color" in given or "color" in PRESETS.get(spec.preset or "", {}):
        said.add("color")
    if "size" in given:
        said.add("size")
    return frozenset(said)


def stated_in(spec: PreprocessingSpec) -> frozenset[Aspect]:
    """Return what a person has stated who gives `spec`.

    Whoever says which numbers pixels become knows how images are prepared: the colours are then
    red, green, blue unless something else is said.
    """
    said = said_by(spec)
    return said | {"color"} if "scaling" in said else said


def least(fields: Mapping[Aspect, BasisKind]) -> BasisKind:
    """Return what is to be said of the whole, of which this is known."""
    # That a size was read from the graph says little: it can hardly be mistaken.
    kinds = [kind for aspect, kind in fields.items() if aspect != "size" or kind == "assumed"]
    return min(kinds, key=_BELIEF.index, default="stated")

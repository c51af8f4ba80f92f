"""On what a version's preprocessing rests: who or what said how its images are prepared.

Answers are right only if images are prepared as they were for training, and nothing but the people
who trained the model knows that for certain. So each version says how much its preprocessing is to
be believed, and where it is `assumed`, whoever asks for answers is told.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from worker.models.preprocessing import PreprocessingSpec

# stated: a person said it; proven: by examples; read: from the graph; recognised: as the product of
# a known exporter; assumed: it is the likeliest, and may be wrong.
BasisKind = Literal["stated", "read", "recognised", "proven", "assumed"]
# What decides the answers and can be mistaken without any error.
Aspect = Literal["scaling", "color", "size"]

MOST_REASONS, MOST_ALTERNATIVES = 32, 16
_Text = Annotated[str, Field(max_length=2000)]


class Alternative(BaseModel):
    """Another way to prepare images that may be meant."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    preprocessing: PreprocessingSpec = Field(
        description="As a freeze takes it: what it leaves out stays as it is."
    )
    reason: _Text = Field(description="When it would be right, in words.")


class Basis(BaseModel):
    """What a version's preprocessing rests on."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: BasisKind = Field(
        description="Of what is known least: `assumed` as long as anything that decides the "
        "answers is."
    )
    reasons: list[_Text] = Field(
        default_factory=list,
        max_length=MOST_REASONS,
        description="How each of it is known, in words.",
    )
    assumed: list[Aspect] = Field(
        default_factory=list, max_length=3, description="What of it is assumed."
    )
    alternatives: list[Alternative] = Field(
        default_factory=list,
        max_length=MOST_ALTERNATIVES,
        description="What else may be meant, likeliest first.",
    )

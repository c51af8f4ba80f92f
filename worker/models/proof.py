"""The results of each candidate preprocessing on examples with known labels."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from worker.models.preprocessing import PreprocessingSpec

MOST_TRIED = 64
_Count = Annotated[int, Field(ge=0, le=1_000_000)]
_Number = Annotated[float, Field(allow_inf_nan=False)]
_Text = Annotated[str, Field(max_length=2000)]


class Accuracy(BaseModel):
    """How many examples got their own label."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_serialization_defaults_required=True
    )

    right: _Count
    of: _Count
    log_likelihood: _Number = Field(
        description="Mean of the natural logarithm of the probability that each example's own "
        "label got; 0 is the best there is."
    )


class Tried(Accuracy):
    """One way of preparing images, and what the model then made of the examples."""

    called: _Text = Field(description="In words.")
    preprocessing: PreprocessingSpec = Field(description="As a freeze takes it.")
    odds: _Number | None = Field(
        description="How many times less the examples speak for it than for the first, which has "
        "1; null above a million."
    )
    taken: bool

    @field_serializer("preprocessing")
    def _as_given(self, spec: PreprocessingSpec) -> dict[str, Any]:
        return spec.model_dump(mode="json", exclude_none=True)


class Proof(BaseModel):
    """What was tried on the examples of a freeze, and what came of it."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_serialization_defaults_required=True
    )

    clear: bool = Field(
        description="Whether everything else that would answer otherwise has, all together, less "
        "than a twentieth of the evidence."
    )
    examples: _Count = Field(description="Pictures that were tried.")
    left_out: _Count = Field(description="Pictures that were not, because there were enough.")
    unreadable: list[_Text] = Field(default_factory=list, max_length=20)
    labels: _Count = Field(description="Labels of which there are examples.")
    candidates: list[Tried] = Field(max_length=MOST_TRIED, description="Best first.")
    before: Accuracy = Field(description="Of the source's own graph, prepared as was taken.")
    after: Accuracy | None = Field(
        None, description="Of the frozen graph, as it was published, prepared alike."
    )

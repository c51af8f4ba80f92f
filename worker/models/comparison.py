"""One version's answers to the same images under several preprocessings."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, field_serializer

from worker.models.preprocessing import PreprocessingSpec

MOST_COMPARED = 8  # images
MOST_WAYS = 64
_Text = Annotated[str, Field(max_length=2000)]


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_serialization_defaults_required=True
    )


class Answer(_Part):
    """A label and its score."""

    label: _Text
    score: float | None = Field(description="null for what is no number.")


class Way(_Part):
    """One way of preparing images, and what the model answers then."""

    called: _Text = Field(description="In words.")
    served: bool = Field(description="Whether it is how the version prepares images now.")
    preprocessing: PreprocessingSpec = Field(description="As a freeze takes it.")
    command: str = Field(description="What to type to make it the model's.")
    answers: list[list[Answer]] = Field(
        max_length=MOST_COMPARED, description="Of each image the best ones, in their order."
    )

    @field_serializer("preprocessing")
    def _as_given(self, spec: PreprocessingSpec) -> dict[str, Any]:
        return spec.model_dump(mode="json", exclude_none=True)


class Comparison(_Part):
    """The result of a comparison."""

    model: str
    version: int
    images: list[_Text] = Field(max_length=MOST_COMPARED, description="What they are called.")
    ways: list[Way] = Field(max_length=MOST_WAYS, description="The one that is served first.")

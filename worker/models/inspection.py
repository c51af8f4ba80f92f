"""What an inspection says of a source: one document of a fixed shape, the `result` of its job.

Made in `freezing/inspecting/inspection.py`; pages and the command line show it.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from worker.models.basis import Basis

Level = Literal["error", "warning", "note"]


class _Part(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, json_schema_serialization_defaults_required=True
    )


class FileFact(_Part):
    """One file of the source."""

    name: str
    bytes: int


class SignatureFact(_Part):
    """A way to call a SavedModel."""

    name: str
    method: str = Field(description="`tensorflow/serving/predict`; empty where it does not say.")
    inputs: dict[str, str] = Field(description="By the signature's own names: the tensor, `x:0`.")
    outputs: dict[str, str]


class Candidate(_Part):
    """A tensor that may be the input or an output, and why it has its rank."""

    name: str = Field(description="With its output number: `x:0`.")
    op: str = Field(description="What computes it, behind what only hands it on.")
    dtype: str | None = Field(description="null where it cannot be told.")
    shape: list[int | None] | None = Field(description="null for an unknown side or rank.")
    reasons: list[str] = Field(description="Why it stands where it does, in words.")
    chosen: bool = Field(description="Whether a freeze that names none takes this one.")


class PlaceholderValue(_Part):
    """A placeholder, beside the input, that the chosen outputs need."""

    name: str
    dtype: str
    shape: list[int | None] | None
    value: bool | int | float | None = Field(description="The value suggested; null for none.")
    default: Any = Field(None, description="What it holds where nothing is set; null for nothing.")
    reason: str


class LayerFact(_Part):
    """The variables of one scope that the chosen outputs need."""

    name: str
    variables: list[str] = Field(description="Each with its shape: `weights 3x3x3x32`.")
    parameters: int
    bytes: int


class Parameters(_Part):
    """What the source's variables, or a frozen graph's constants, hold."""

    total: int = Field(description="Of everything in the source.")
    bytes: int
    kept: int = Field(description="Of what the chosen outputs need.")
    kept_bytes: int
    layers: list[LayerFact] = Field(description="Of what is kept; of very many, the first.")
    layers_left_out: int = 0


class Dropped(_Part):
    """What freezing would leave behind, of one kind."""

    kind: str = Field(description="`gradients`, `optimizer_slots`, `savers`, ... as in a freeze.")
    nodes: int
    bytes: int = Field(description="Of their definitions, and of the variables among them.")


class Predicted(_Part):
    """What the frozen graph would be, before optimisation."""

    nodes: int
    parameters: int
    bytes: int = Field(description="Of the `.pb`, about.")


class UnknownOp(_Part):
    """An op that the TensorFlow here does not have."""

    op: str
    count: int
    example: str = Field(description="A node of that kind.")
    package: str | None = Field(description="What would register it, where that is known.")
    needed: bool = Field(description="Whether the chosen outputs need it.")


class Finding(_Part):
    """Something that one should know before freezing."""

    code: str = Field(description="A stable machine word.")
    level: Level = Field(description="`error`: it cannot be frozen so; `note`: good to know.")
    message: str
    nodes: list[str] = Field(default_factory=list, description="Which, at most a few.")


class PreparationChoice(_Part):
    """A way to prepare images that may be meant."""

    preprocessing: dict[str, Any] = Field(description="As a freeze takes it.")
    reason: str = Field(description="When it is right: completes `if`.")
    command: str = Field(description="The freeze that says so, for a terminal.")


class GuessedPreprocessing(_Part):
    """How images would be prepared where nothing is said."""

    fields: dict[str, Any] = Field(description="As a freeze takes them in `preprocessing`.")
    basis: Basis | None = Field(None, description="What it rests on; null where there is none.")
    assumed: list[str] = Field(description="What of it is assumed, in words.")
    choices: list[PreparationChoice] = Field(
        default_factory=list, description="Where something is, what may be meant."
    )
    problem: str | None = Field(None, description="Why it could not be guessed.")


class Choice(_Part):
    """What a freeze that names neither inputs nor outputs would do."""

    clear: bool = Field(description="Whether it would be done; else it fails, listing candidates.")
    input: str | None
    outputs: list[str]
    reasons: list[str] = Field(description="Why these, or why it is not clear.")


class Advice(_Part):
    """The freeze that is suggested, ready to be sent."""

    ready: bool = Field(description="Whether it can be sent as it is.")
    body: dict[str, Any] = Field(description="For `POST /v1/freezes`; its `name` is made up.")
    command: str = Field(description="The same for a terminal.")


class Inspection(_Part):
    """All that is told of a source."""

    format: Literal[1] = 1
    kind: str = Field(description="`checkpoint`, `saved_model`, `keras`, `graph`.")
    name: str
    producer: str = Field(description="The TensorFlow that wrote it; empty where it is not said.")
    tensorflow: str = Field(description="The TensorFlow that inspected it.")
    bytes: int = Field(description="Of all its files.")
    files: list[FileFact]
    nodes: int
    functions: int
    signatures: list[SignatureFact]
    labels: int | None = Field(
        description="How many labels would be taken from the source or beside it."
    )
    inputs: list[Candidate] = Field(description="What may take the images, likeliest first.")
    outputs: list[Candidate] = Field(description="What may be the answer, likeliest first.")
    values: list[PlaceholderValue] = Field(description="Placeholders that need a value.")
    parameters: Parameters
    dropped: list[Dropped]
    predicted: Predicted | None = Field(description="null where nothing was chosen.")
    unknown_ops: list[UnknownOp]
    findings: list[Finding] = Field(description="Errors first, then warnings, then notes.")
    preprocessing: GuessedPreprocessing
    choice: Choice
    freeze: Advice

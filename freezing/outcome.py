"""What a freeze says that it made: a typed record of bounded fields, of which little is believed.

It comes from processes that had the source. What the graph holds, how large it is and that it was
audited is not taken from here (`freezing/publishing/`).
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from freezing.graph.kinds import KINDS
from freezing.running.events import UnsoundReportError
from worker.models.basis import Basis
from worker.models.manifest import Measured, Scores, Tensor
from worker.models.preprocessing import Preprocessing, PreprocessingSpec
from worker.models.proof import Proof

_MOST_LABELS, _MOST_LABEL = 200_000, 2000
_MOST_LAYERS, _MOST_NAME = 200_000, 4000
_Count = Annotated[int, Field(ge=0, le=2**53)]
_Name = Annotated[str, Field(max_length=_MOST_NAME)]
_Text = Annotated[str, Field(max_length=8000)]
_Number = Annotated[float, Field(allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Layer(_Part):
    name: _Name
    shape: list[_Count] | None = Field(max_length=64)
    parameters: _Count


class _File(_Part):
    name: _Name
    bytes: _Count
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class _Source(_Part):
    kind: _Name
    producer: _Name
    files: list[_File] = Field(max_length=20_000)


class _Batch(_Part):
    source: _Count | None
    served: _Count | None


class _Optimised(_Part):
    folded_constants: _Count
    batch_norms: _Count
    nodes_before: _Count
    nodes_after: _Count


class _OutputVerification(_Part):
    name: _Name
    max_abs_difference: _Number
    max_relative_difference: _Number
    top1_agreement: _Number | None


class _Verification(_Part):
    samples: _Count
    tolerance: _Number
    max_abs_difference: _Number
    max_relative_difference: _Number
    top1_agreement: _Number
    outputs: list[_OutputVerification] = Field(max_length=256)


class _Accelerated(_Part):
    format: Literal["onnx"]
    opset: _Count
    onnxruntime: _Name
    bytes: _Count
    verification: _Verification


class SourceOutcome(BaseModel):
    """What the process that has the source says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: list[Tensor] = Field(min_length=1, max_length=1)
    outputs: list[Tensor] = Field(min_length=1, max_length=256)
    batch: _Batch
    preprocessing: Preprocessing | None
    basis: Basis | None
    labels: list[Annotated[str, Field(max_length=_MOST_LABEL)]] | None = Field(
        max_length=_MOST_LABELS
    )
    scores: Scores | None
    source: _Source
    bytes_before: _Count
    bytes_after: _Count
    nodes_before: _Count
    nodes_after: _Count
    parameters: _Count
    layers: list[_Layer] = Field(max_length=_MOST_LAYERS)
    removed: dict[_Name, _Count] = Field(max_length=len(KINDS))
    audit: dict[str, Any]  # replaced by what the audit of the bytes finds
    examples: Proof | None
    warnings: list[_Text] = Field(max_length=1000)

    @model_validator(mode="after")
    def _fits(self) -> "SourceOutcome":
        for tensor in (*self.inputs, *self.outputs):
            if len(tensor.name) > _MOST_NAME or len(tensor.dtype) > 32:
                raise ValueError("a tensor has a name that is too long")
            sides = [side for side in tensor.shape or [] if side is not None]
            if len(tensor.shape or []) > 64 or not all(0 <= side < 2**31 for side in sides):
                raise ValueError("a tensor has a shape that none can have")
        columns = self.outputs[0].shape
        last = columns[-1] if columns and len(columns) == 2 else None
        if self.labels is not None and last is not None and len(self.labels) != last > 1:
            raise ValueError("there are not as many labels as scores")
        if self.preprocessing is not None:  # by the rules for what a person may say
            PreprocessingSpec.model_validate(self.preprocessing.model_dump())
        return self


class Outcome(SourceOutcome):
    """What the whole freeze says."""

    optimised: _Optimised | None
    verification: _Verification
    runtime: Literal["tensorflow", "onnxruntime"]
    accelerated: _Accelerated | None
    measured: Measured | None


def checked(kind: type[SourceOutcome], outcome: Any) -> dict[str, Any]:
    """Return the outcome, every field of which is of its type and within its bounds.

    Raises `UnsoundReportError`.
    """
    try:
        return kind.model_validate(outcome).model_dump(mode="json")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])[:200]
        raise UnsoundReportError(
            f"gave a result that none can be ({where or 'as a whole'})"
        ) from error

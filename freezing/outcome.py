"""What a freeze says that it made: a typed record of bounded fields, of which little is believed.

It comes from processes that had the source. What the graph holds, how large it is and that it was
audited is not taken from here (`freezing/publishing/`).
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from freezing.graph.kinds import KINDS
from freezing.optimising.optimised import OptimiseCounts
from freezing.proving.check import Check
from freezing.running.record_fields import MOST_NAME, Count, Name, Record, Text
from freezing.verifying.answers import Expected
from freezing.verifying.verification import GraphComparison
from worker.models.basis import Basis
from worker.models.manifest import ManifestDraft, Measured, Runtime, Scores, Tensor
from worker.models.preprocessing import Preprocessing, PreprocessingSpec
from worker.models.proof import Proof

_MOST_LABELS, _MOST_LABEL = 200_000, 2000
_MOST_LAYERS = 200_000


class _Layer(Record):
    name: Name
    shape: list[Count] | None = Field(max_length=64)
    parameters: Count


class _File(Record):
    name: Name
    bytes: Count
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class _Source(Record):
    kind: Name
    producer: Name
    files: list[_File] = Field(max_length=20_000)


class _Batch(Record):
    source: Count | None
    served: Count | None


class AcceleratedOutcome(Record):
    """What a report says of the graph that was converted."""

    format: Literal["onnx"]
    opset: Count
    onnxruntime: Name
    bytes: Count
    verification: GraphComparison


class SourceOutcome(BaseModel):
    """What the process that has the source says of what it made."""

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
    bytes_before: Count
    bytes_after: Count
    nodes_before: Count
    nodes_after: Count
    parameters: Count
    layers: list[_Layer] = Field(max_length=_MOST_LAYERS)
    removed: dict[Name, Count] = Field(max_length=len(KINDS))
    audit: dict[str, Any]  # replaced by what the audit of the bytes finds
    examples: Proof | None
    warnings: list[Text] = Field(max_length=1000)

    @model_validator(mode="after")
    def _fits(self) -> "SourceOutcome":
        for tensor in (*self.inputs, *self.outputs):
            if len(tensor.name) > MOST_NAME or len(tensor.dtype) > 32:
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

    def draft(self, name: str) -> ManifestDraft:
        """Return what a manifest says of how the graph is served."""
        return ManifestDraft(
            name=name,
            inputs=self.inputs,
            outputs=self.outputs,
            labels=self.labels,
            preprocessing=self.preprocessing,
            basis=self.basis,
            scores=self.scores,
        )


class FromSource(BaseModel):
    """All that the process that has the source says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    outcome: SourceOutcome
    expected: Expected  # what the graph must answer
    check: Check | None  # by what examples are asked of it


class FreezeOutcome(SourceOutcome):
    """What the whole freeze says."""

    optimised: OptimiseCounts | None
    verification: GraphComparison
    runtime: Runtime
    accelerated: AcceleratedOutcome | None
    measured: Measured | None

"""What a freeze made."""

from pydantic import Field

from worker.contract.base import Answered, Count, Sha256
from worker.contract.models import PreprocessingChoice
from worker.models.basis import Basis
from worker.models.manifest import Runtime, Tensor
from worker.models.preprocessing import Preprocessing
from worker.models.proof import Proof


class OutputVerification(Answered):
    """How far one output of a graph is from the source's."""

    name: str
    max_abs_difference: float
    max_relative_difference: float = Field(description="To the largest answer of this output.")
    top1_agreement: float | None = Field(
        description="Share of samples whose highest value is the same; null for text."
    )


class Verification(Answered):
    """How far the answers of a graph are from its source's."""

    samples: Count
    tolerance: float
    max_abs_difference: float
    max_relative_difference: float
    top1_agreement: float = Field(description="Of the first output.")
    outputs: list[OutputVerification]


class Layer(Answered):
    """The weights of one layer."""

    name: str
    shape: list[int] | None
    parameters: Count


class Optimised(Answered):
    """What optimising did to a graph."""

    folded_constants: Count
    batch_norms: Count
    nodes_before: Count
    nodes_after: Count


class BatchDimension(Answered):
    """How many images the source's input holds, and the served graph's; null: any number."""

    source: int | None
    served: int | None


class Audit(Answered):
    """What the audit found in the published bytes."""

    verdict: str
    allow_list: str = Field(description="The version of the list of ops that may be served.")
    ops: dict[str, int]
    functions: Count


class AcceleratedGraph(Answered):
    """The same graph for ONNX Runtime."""

    format: str
    opset: int
    onnxruntime: str
    bytes: Count
    verification: Verification


class FreezeResult(Answered):
    """A version that was published, and what freezing it did."""

    model: str
    version: int = Field(gt=0)
    sha256: Sha256
    bytes_before: Count
    bytes_after: Count
    nodes_before: Count
    nodes_after: Count
    parameters: Count
    layers: list[Layer]
    removed: dict[str, int] = Field(description="Nodes that were left behind, by kind.")
    optimised: Optimised | None = Field(description="null where that was not wanted.")
    batch: BatchDimension
    audit: Audit
    verification: Verification
    runtime: Runtime
    accelerated: AcceleratedGraph | None
    examples: Proof | None = Field(description="What examples said, where there were any.")
    warnings: list[str]
    inputs: list[Tensor]
    outputs: list[Tensor]
    preprocessing: Preprocessing | None
    basis: Basis | None
    choices: list[PreprocessingChoice] = Field(
        description="Where something of the preprocessing is assumed, what may be meant."
    )
    classifies: bool = Field(description="Whether images can be classified with it.")

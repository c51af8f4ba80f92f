"""The JSON beside a graph: everything that serving it needs, and where it comes from."""

import hashlib
import json
import re
from datetime import datetime
from functools import cached_property
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

from worker.errors import GivesNoScoresError, InvalidRequestError, TakesNoImagesError
from worker.models.basis import Basis
from worker.models.preprocessing import Preprocessing

Scores = Literal["probabilities", "logits", "sigmoid"]
Runtime = Literal["tensorflow", "onnxruntime"]

# Raised where what a manifest says means something else to programs that know only lower ones. A
# field that is added needs no new format: others pass it over, or see by `Manifest.digest` that
# answers hang on it.
FORMAT = 1

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
_ALIAS = re.compile(r"[a-z][a-z0-9_-]{0,31}\Z")


class Tensor(BaseModel):
    """One input or output of a graph."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, json_schema_serialization_defaults_required=True
    )

    name: str = Field(description="With its output number: `x:0`.")
    shape: list[int | None] | None = Field(description="null for an unknown side or rank.")
    dtype: str = Field(description="As TensorFlow names it: `float32`.")

    @property
    def fixed_batch(self) -> int | None:
        """How many images it holds in each run; None where that may be any number."""
        return self.shape[0] if self.shape else None

    def __str__(self) -> str:
        if self.shape is None:
            return f"{self.name} ({self.dtype} of any shape)"
        sides = ", ".join("?" if side is None else str(side) for side in self.shape)
        return f"{self.name} ({self.dtype} [{sides}])"


class Accelerated(BaseModel):
    """The file beside the frozen graph that a runtime other than TensorFlow serves."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, json_schema_serialization_defaults_required=True
    )

    format: Literal["onnx"] = "onnx"
    sha256: str = Field(pattern=r"[0-9a-f]{64}")
    bytes: int = Field(gt=0)


class Measured(BaseModel):
    """What running a version took, as it is served."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, json_schema_serialization_defaults_required=True
    )

    micro_batch: int = Field(gt=0, description="Most images of one run that its memory allows.")
    run_bytes: int = Field(ge=0, description="Memory that the largest run took beside the graph.")
    loaded_bytes: int = Field(ge=0, description="Memory that it takes loaded.")
    seconds: float = Field(ge=0, description="Of a run of one image.")


class Classifying(NamedTuple):
    """What a version that classifies images needs beside its graph."""

    preprocessing: Preprocessing
    scores: Scores


class ManifestDraft(BaseModel):
    """A manifest before publication gives it its version."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, json_schema_serialization_defaults_required=True
    )

    name: str
    inputs: list[Tensor] = Field(min_length=1)
    outputs: list[Tensor] = Field(min_length=1)
    labels: list[str] | None = Field(None, description="One per score of the first output.")
    preprocessing: Preprocessing | None = Field(
        description="null: the input does not take images, so that nothing can be classified."
    )
    basis: Basis | None = Field(
        None,
        description="What the preprocessing rests on; null where nothing is prepared, and for "
        "versions that were published before this was told.",
    )
    scores: Scores | None = Field(
        "probabilities",
        description="What the first output holds: `logits` are put through softmax, `sigmoid` "
        "marks independent logits that are put through the logistic function. null: it is not one "
        "row of scores, so that nothing can be classified.",
    )
    runtime: Runtime = Field("tensorflow", description="What workers serve the version with.")
    source: dict[str, Any] = Field(default_factory=dict, description="Where the graph comes from.")
    report: dict[str, Any] = Field(default_factory=dict, description="What freezing did.")
    measured: Measured | None = Field(
        None, description="What it took when it was verified; null where that was not measured."
    )

    @property
    def classifies(self) -> bool:
        """Whether images can be classified with it; else it can only be downloaded."""
        return self.preprocessing is not None and self.scores is not None


class Manifest(ManifestDraft):
    """The description of one published version."""

    format: int = Field(
        FORMAT, ge=1, le=FORMAT, description="Of the manifest: a program reads those it knows."
    )
    version: int = Field(gt=0)
    sha256: str = Field(pattern=r"[0-9a-f]{64}", description="Of the graph file.")
    bytes: int = Field(gt=0, description="Size of the graph file.")
    accelerated: Accelerated | None = Field(
        None, description="What `runtime` loads instead of the graph; null for TensorFlow."
    )
    created_at: datetime

    @model_validator(mode="after")
    def _has_what_its_runtime_loads(self) -> "Manifest":
        if (self.runtime == "tensorflow") != (self.accelerated is None):
            raise ValueError("accelerated must be there for the runtime onnxruntime, and only then")
        return self

    @property
    def served(self) -> "Served":
        """The file that workers load."""
        file = self.accelerated or self
        return Served(file.sha256, file.bytes)

    @cached_property
    def digest(self) -> str:
        """Digest of all that decides an answer, in 32 hexadecimal digits.

        That is the graph and what workers load of it, the tensors that are fed and read, how many
        images are run at once where that is fixed (one, where images would change each other's
        answers), the labels, the preprocessing and how scores are read. Fields that have their
        defaults are left out, so that one that is added to the program later changes no digest,
        while a program that does not know a field that a version needs gets another digest than one
        that does. What is added here must be left out in the same way: the digest stands in
        published manifests.
        """
        prepared, batch = self.preprocessing, self.inputs[0].fixed_batch
        parts = {
            "graph": self.sha256,
            "served": self.served.sha256,
            "inputs": [tensor.name for tensor in self.inputs],
            "outputs": [tensor.name for tensor in self.outputs],
            "labels": self.labels,
            "preprocessing": prepared and prepared.model_dump(exclude_defaults=True),
            "scores": self.scores,
            **({} if batch is None else {"batch": batch}),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]

    def classifying(self) -> Classifying:
        """Return how images are prepared and scores are read.

        Raises `TakesNoImagesError` or `GivesNoScoresError` where that cannot be.
        """
        if self.preprocessing is None:
            raise TakesNoImagesError(
                f"{self.name}@{self.version} takes no images: its input is {self.inputs[0]}. "
                "Its graph can be downloaded; to classify, name another model."
            )
        if self.scores is None:
            raise GivesNoScoresError(
                f"{self.name}@{self.version} gives no scores: its first output is "
                f"{self.outputs[0]}, not one row per image. Its graph can be downloaded; to "
                "classify, name another model."
            )
        return Classifying(self.preprocessing, self.scores)


class Served(NamedTuple):
    """A file that workers load: its hash and its size in bytes."""

    sha256: str
    bytes: int


class ModelRef(NamedTuple):
    """A model as a request names it: `NAME`, `NAME@VERSION` or `NAME@ALIAS`."""

    name: str
    version: int | None
    alias: str | None

    @classmethod
    def parse(cls, text: str) -> "ModelRef":
        """Read `NAME[@VERSION|@ALIAS]`; raise `InvalidRequestError` with what is expected."""
        name, _, which = text.partition("@")
        check_model_name(name)
        if which.isascii() and which.isdigit() and len(which) < 10 and int(which) > 0:
            return cls(name, int(which), None)
        if "@" in text:
            check_alias_name(which)
            return cls(name, None, which)
        return cls(name, None, None)


def pinned_name(name: str, version: int, digest: str) -> str:
    """Return how queues and workers call a version of one digest: `NAME@VERSION#DIGEST`.

    Without a digest `NAME@VERSION`, which means the version whatever its digest is.
    """
    return f"{name}@{version}#{digest}" if digest else f"{name}@{version}"


def is_model_name(text: str) -> bool:
    """Whether `text` can be the name of a model."""
    return _NAME.match(text) is not None


def check_model_name(name: str) -> str:
    """Return `name`; raise `InvalidRequestError` where it cannot be a model's."""
    if not is_model_name(name):
        raise InvalidRequestError(
            f"'{name[:80]}' is not a model name: use letters, digits, '-', '_' and '.', "
            "at most 64, beginning with a letter or digit."
        )
    return name


def check_alias_name(alias: str) -> str:
    """Return `alias`; raise `InvalidRequestError` where it cannot be one."""
    if not _ALIAS.match(alias):
        raise InvalidRequestError(
            f"'{alias[:80]}' is neither a version number nor an alias: an alias is a lower-case "
            "word such as 'stable' or 'canary'."
        )
    return alias

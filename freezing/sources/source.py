"""The one shape that every kind of source has once it is open."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy.typing as npt

from freezing.sources.lookup_tables import Table
from worker.sources.label_files import LabelFile


@dataclass(frozen=True, kw_only=True)
class Value:
    """What a variable holds, and which variable of the source that is.

    A partitioned variable is several nodes of the graph, each of which holds a slice of one entry.
    """

    array: npt.NDArray[Any]
    key: str  # the entry's name in the source
    full_shape: tuple[int, ...]  # of the whole entry; equals array.shape unless partitioned


class Values(Protocol):
    """Reads what variables hold."""

    def read(self, nodes: Iterable[Any]) -> dict[str, Value]:
        """Return the value of each variable NodeDef, by node name.

        Raises `SourceError` where a variable is missing, has another shape or dtype, or its data
        cannot be read.
        """


@runtime_checkable
class Indexed(Protocol):
    """Values that tell how large they are before they are read."""

    def bytes_of(self, node: Any) -> int:
        """Return the size of the value of a variable NodeDef, 0 where it is missing."""


@dataclass(frozen=True, kw_only=True)
class Signature:
    """A way to call a SavedModel: which tensors its named inputs and outputs are."""

    name: str  # "serving_default"
    method: str  # "tensorflow/serving/predict", "" where it does not say
    inputs: dict[str, str]  # by the signature's own name: the tensor, `x:0`
    outputs: dict[str, str]


# How the names of losses read that compare with classes or with numbers.
_OF_ONE_CLASS = ("categorical", "crossentropywithlogits", "kullback", "kld", "kldivergence")
_OF_SEVERAL_CLASSES = ("binary",)
_OF_NUMBERS = ("squared", "mse", "mae", "absolute", "mape", "msle", "huber", "logcosh", "cosine")


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What a model was trained with, as its file calls it."""

    name: str  # "mse", "BinaryCrossentropy"

    @property
    def of_one_class(self) -> bool:
        """Whether it takes one class of several to be right."""
        return self._reads(_OF_ONE_CLASS)

    @property
    def of_classes(self) -> bool:
        """Whether it takes classes to be right."""
        return self.of_one_class or self._reads(_OF_SEVERAL_CLASSES)

    @property
    def of_numbers(self) -> bool:
        """Whether it takes the nearest numbers to be right."""
        return self._reads(_OF_NUMBERS) and not self.of_classes

    def _reads(self, words: tuple[str, ...]) -> bool:
        name = self.name.lower().replace("_", "").replace(" ", "")
        return any(word in name for word in words)


@dataclass(frozen=True, kw_only=True)
class Source:
    """An opened source: a graph, what its variables hold, and where both came from."""

    kind: str  # "checkpoint", "saved_model", "keras", "graph"
    name: str  # as its files are called
    graph_def: Any  # everything the source holds, as stored, less devices and colocation
    values: Values
    files: tuple[Path, ...]
    producer: str  # the TensorFlow version that wrote it, "" where it does not say
    op_list: Any = None  # OpList of the producer where the source carries one, else None
    signatures: tuple[Signature, ...] = ()  # the usual one first; none where the kind has none
    tables: Mapping[str, Table] = field(default_factory=dict)  # lookup tables, by their nodes
    labels: list[str] | None = None  # where the source itself carries them
    label_files: tuple[LabelFile, ...] = ()  # beside it, where it carries none itself
    loss: Loss | None = None  # that it was trained with, where it says so
    warnings: list[str] = field(default_factory=list)

    @property
    def kind_words(self) -> str:
        """What sentences call it: `the Keras model`."""
        return _KINDS[self.kind]

    @property
    def bytes(self) -> int:
        """Size of all files together."""
        return sum(file.stat().st_size for file in self.files)

    def describe(self) -> dict[str, Any]:
        """Return the provenance for a manifest: kind, producer, and each file's size and sha256."""
        return {
            "kind": self.kind,
            "producer": self.producer,
            "files": [
                {"name": file.name, "bytes": file.stat().st_size, "sha256": _sha256(file)}
                for file in self.files
            ],
        }


_KINDS = {
    "checkpoint": "checkpoint",
    "saved_model": "SavedModel",
    "keras": "Keras model",
    "graph": "graph",
}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

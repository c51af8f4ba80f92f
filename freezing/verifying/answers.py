"""Answers of a graph to sample images, in memory and as files that another process reads."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, Field

from freezing.running.record_fields import Count, Record
from worker.models.manifest import Tensor

Array = npt.NDArray[Any]
Run = Callable[[Array], list[Array]]  # a batch of inputs (images, ...) -> one array per output

_INPUTS_FILE = "inputs.npy"
_FEW = 3  # images of a smaller batch, of which the last one is filled up with zeros


class Expected(Record):
    """What a source answered to samples, in a folder of .npy files that a graph is held against."""

    model_config = ConfigDict(strict=False)  # in JSON, tuples are lists and paths texts

    folder: Path
    input: Tensor
    outputs: tuple[Tensor, ...]
    samples: Count
    # Of the pieces that the samples were run in; the first always works.
    sizes: tuple[Annotated[int, Field(gt=0)], ...] = Field(min_length=1)

    @property
    def run_in(self) -> tuple[int, ...]:
        """The sizes of the pieces that a graph is run in: also in few, where it takes any."""
        return (*self.sizes, _FEW) if len(self.sizes) > 1 else self.sizes

    def inputs(self) -> Array:
        """Return the samples (images, ...), still to be cast to the input's dtype."""
        return load_array(self.folder / _INPUTS_FILE)

    def save_inputs(self, inputs: Array) -> None:
        """Write the samples."""
        save_array(self.folder / _INPUTS_FILE, inputs)

    def answers(self, size: int) -> list[Array]:
        """Return the answers in pieces of `size`, else those that there are, one per output."""
        return load_answers(
            self.folder, size if size in self.sizes else self.sizes[0], self.outputs
        )


def save_answers(folder: Path, size: int, answers: Sequence[Array]) -> None:
    """Write the answers to the samples, one array (images, ...) per output."""
    for number, answer in enumerate(answers):
        save_array(_answer_file(folder, size, number), answer)


def load_answers(folder: Path, size: int, outputs: Sequence[Tensor]) -> list[Array]:
    """Return what `save_answers` wrote."""
    return [load_array(_answer_file(folder, size, number)) for number in range(len(outputs))]


def _answer_file(folder: Path, size: int, number: int) -> Path:
    return folder / f"{size}-{number}.npy"


def save_array(path: Path, array: Array) -> None:
    """Write an array so that nothing but numpy is needed to read it: text as bytes, else numbers.

    Types that numpy itself has not, such as bfloat16, are widened to float32.
    """
    if array.dtype.kind in "OU":
        array = array.astype(bytes)
    elif array.dtype.isbuiltin != 1:
        array = array.astype(np.float32)
    np.save(path, array, allow_pickle=False)


def load_array(path: Path) -> Array:
    """Return what `save_array` wrote."""
    array: Array = np.load(path, allow_pickle=False)
    return array


def fitted(run: Run, source: Tensor) -> Run:
    """Return `run` for batches, also where the input takes one number and no batch."""
    if source.shape == []:
        return lambda batch: run(batch.reshape(()))
    return run


def in_pieces(run: Run, inputs: Array, size: int | None) -> list[Array]:
    """Return the outputs for all inputs, run in pieces of `size`, the last padded with zeros."""
    size = size or len(inputs)
    pieces = []
    for start in range(0, len(inputs), size):
        piece = inputs[start : start + size]
        padding = [(0, size - len(piece))] + [(0, 0)] * (inputs.ndim - 1)
        first, *others = run(np.pad(piece, padding))
        answers = [_rows(first, size), *(_rows_if_any(other, size) for other in others)]
        pieces.append([answer[: len(piece)] for answer in answers])
    return [np.concatenate(parts) for parts in zip(*pieces, strict=True)]


def _rows(answer: Array, count: int) -> Array:
    """Return the answer as (images, ...); a graph for one image may drop that dimension."""
    if answer.ndim > 0 and len(answer) == count:
        return answer
    if count == 1:
        return answer.reshape(1, -1)
    raise ValueError(
        f"the first output has the shape {answer.shape}, which is not one row for each of {count} "
        "images"
    )


def _rows_if_any(answer: Array, count: int) -> Array:
    """Return the answer as (images, ...), or as one row where it is not about single images."""
    return answer if answer.ndim > 0 and len(answer) == count else answer[np.newaxis]

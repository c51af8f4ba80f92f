"""What a version can be used for: how images become its input, and if its answer is their scores.

The rule: a model whose input can be read as an image, and whose first output is one row of numbers
per image, classifies. Any other is frozen, verified and published as well, to be downloaded, if
that is clearly what is meant: the input has no shape that images could have and nothing was said of
preprocessing; or the output was named, and neither labels nor scores were spoken of.
"""

import math
from collections.abc import Set
from typing import Any

import tensorflow as tf

from freezing.choosing.plan import Plan
from freezing.choosing.preparation import Guess
from worker.errors import FreezeError, InvalidRequestError
from worker.jobs.requests import FreezeRequest
from worker.models.manifest import Tensor
from worker.models.preprocessing import Preprocessing, PreprocessingSpec, resolve_preprocessing

_VALUES = frozenset({"preset", "scale", "mean", "std"})  # what says which numbers pixels become
_FEWEST_PIXELS = 16  # below which a flat input is hardly an image
# What only networks have that look at images.
_SEEING = frozenset(
    {"Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool", "FusedBatchNormV3", "FusedBatchNorm"}
    | {"ResizeBilinear", "ResizeNearestNeighbor", "ResizeArea", "LRN", "SpaceToDepth"}
)
_ONLY_DOWNLOADED = "It is published to be downloaded: predictions are refused."


class NotScoresError(FreezeError):
    """The first output does not hold one row of scores per image."""

    code = "not_scores"


class NotAnImageInputError(FreezeError):
    """The input does not take images."""

    code = "not_an_image_input"


def choose_preprocessing(
    asked: PreprocessingSpec, plan: Plan, guess: Guess, warnings: list[str]
) -> Preprocessing | None:
    """Return how images are prepared for the plan's input; None where it takes none.

    `guess` is taken for what was not asked for. What was taken for granted is added to `warnings`.
    Raises `NotAnImageInputError` where images are meant but it cannot be said how, and where the
    input takes text.
    """
    tensor = plan.input
    dtype = tf.as_dtype(tensor.dtype)
    given = asked.model_dump(exclude_none=True)
    if dtype == tf.string or (given and not (dtype.is_floating or dtype.is_integer)):
        raise NotAnImageInputError(
            f"The input {tensor.name} takes {dtype.name}, not pixels: name the tensor of the "
            "decoded image with `inputs` (--input)."
        )
    if not (dtype.is_floating or dtype.is_integer):
        warnings.append(_not_read_as_images(tensor))
        return None
    if plan.before.reasons:
        guess = plan.before
    guessed = asked if given.keys() & _VALUES else _with_guess(asked, plan, guess)
    try:
        found = resolve_preprocessing(guessed, tensor.shape, tensor.dtype)
    except InvalidRequestError as error:
        if given or _may_take_images(plan):
            raise NotAnImageInputError(
                f"{error} Only models that take images can be served."
            ) from error
        warnings.append(_not_read_as_images(tensor))
        return None
    warnings.extend(_assumptions(given.keys(), found, guess))
    return found


def refuse_classes(request: FreezeRequest, plan: Plan) -> None:
    """Raise `NotScoresError`, before anything is run, for an output that is a class and no scores.

    Only for models that take images.
    """
    first = plan.outputs[0]
    dtype = tf.as_dtype(first.dtype)
    is_map = first.shape is None or len(first.shape) > 2
    if dtype.is_floating or (is_map and dtype != tf.string and _is_only_wanted(request)):
        return
    raise NotScoresError(
        f"The first output {first.name} holds {first.dtype}, not scores: name the node before "
        "it, such as the softmax before an argmax."
    )


def gives_scores(request: FreezeRequest, plan: Plan, answer: Any, warnings: list[str]) -> bool:
    """Whether the first output's answer (images, ...) is one row of scores per image.

    Where it is not and that is as it should be, this is added to `warnings`. Raises
    `NotScoresError` where scores are meant.
    """
    first, sides = plan.outputs[0], answer.shape[1:]
    is_row = answer.size > 0 and math.prod(sides) == max(sides, default=1)
    if is_row and tf.as_dtype(first.dtype).is_floating:
        return True
    said = (
        f"The first output {first.name} has the shape {list(sides)} per image, which is not "
        "one row of scores"
    )
    if not _is_only_wanted(request):
        raise NotScoresError(f"{said}: name the node that gives the classes.")
    warnings.append(f"{said}. {_ONLY_DOWNLOADED}")
    return False


def _not_read_as_images(tensor: Tensor) -> str:
    return (
        f"The input {tensor} does not take images, as far as its shape and type show. "
        f"{_ONLY_DOWNLOADED} If it does take images, say so with `preprocessing` "
        "(--preprocessing), for instance with their size."
    )


def _is_only_wanted(request: FreezeRequest) -> bool:
    """Whether someone named the output and spoke of nothing that has to do with classes."""
    return bool(request.outputs) and request.labels is None and request.scores is None


def _with_guess(asked: PreprocessingSpec, plan: Plan, guess: Guess) -> PreprocessingSpec:
    """Return what was asked for, with the scaling that the graph shows."""
    # What was in front of the input shows it better than what is behind.
    if plan.takes_bytes is not None and not plan.before.reasons:
        return asked.model_copy(update={"preset": "raw"}) if plan.takes_bytes else asked
    found = guess.spec.model_dump(include=set(_VALUES), exclude_none=True)
    return asked.model_copy(update=found)


def _may_take_images(plan: Plan) -> bool:
    """Whether the input could be that of images, of which only size or layout are not known."""
    shape = plan.input.shape
    if shape is not None and len(shape) == 4:
        return bool({shape[1], shape[3]} & {1, 3, None})
    is_open = shape is None or (len(shape) in (2, 3) and None in shape[1:])
    return is_open and any(node.op in _SEEING for node in plan.graph)


def _assumptions(given: Set[str], found: Preprocessing, guess: Guess) -> list[str]:
    """Return what was taken for granted and should be looked at."""
    said = []
    height, width = found.size
    if not given & _VALUES:
        low, high = ((value * found.scale - found.mean[0]) / found.std[0] for value in (0, 255))
        reasons = "".join(f"; {reason}" for reason in guess.reasons)
        color = found.color.upper()
        if found.color == "rgb" and "color" not in given:
            color += " (BGR would look the same)"
        layout = f" as {found.layout}" if found.layout in ("NCHW", "flat") else ""
        said.append(
            f"How images are prepared was not given. It was assumed: {color},"
            f" {found.resize} to {height}x{width}{layout}, values from {low:g} to {high:g}"
            f"{reasons}."
        )
    elif found.layout == "flat" and "size" not in given:
        said.append(
            f"The size of images was not given. The input's numbers were taken as "
            f"{height}x{width} pixels, {found.color.upper()}."
        )
    if height * width < _FEWEST_PIXELS and "size" not in given:
        said.append(
            f"The input takes {math.prod(found.size) * found.channels} number(s) at a time. Images "
            f"are shrunk to {height}x{width} pixels for it; if they are no pixels, predictions "
            "mean nothing."
        )
    return said

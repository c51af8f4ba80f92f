"""What a version can be used for: how images become its input, and if its answer is their scores.

The rule: a model whose input can be read as an image, and whose first output is one row of numbers
per image, classifies. Any other is frozen, verified and published as well, to be downloaded, if
that is clearly what is meant: the input has no shape that images could have and nothing was said of
preprocessing; or the output was named, and neither labels nor scores were spoken of.
"""

import math
from typing import Any, NamedTuple

import tensorflow as tf

from freezing.choosing.class_scores import why_no_classes, why_no_row
from freezing.choosing.plan import Plan
from freezing.choosing.preprocessing_basis import resolved
from freezing.choosing.preprocessing_guess import Guess
from freezing.graph.content import Trace, has_suppression
from worker.contract.source_requests import FreezeRequest
from worker.errors import FreezeError, InvalidRequestError
from worker.models.basis import Basis
from worker.models.manifest import Tensor
from worker.models.preprocessing import Preprocessing, PreprocessingSpec

_FEWEST_PIXELS = 16  # below which a flat input is hardly an image
# What only networks have that look at images.
_SEEING = frozenset(
    {"Conv2D", "DepthwiseConv2dNative", "MaxPool", "AvgPool", "FusedBatchNormV3", "FusedBatchNorm"}
    | {"ResizeBilinear", "ResizeNearestNeighbor", "ResizeArea", "LRN", "SpaceToDepth"}
)
_ONLY_DOWNLOADED = "It is published to be downloaded: predictions are refused."


class Prepared(NamedTuple):
    """How images are prepared, and on what that rests."""

    preprocessing: Preprocessing
    basis: Basis


class NotScoresError(FreezeError):
    """The first output does not hold one row of scores per image."""

    code = "not_scores"


class NotAnImageInputError(FreezeError):
    """The input does not take images."""

    code = "not_an_image_input"


def choose_preprocessing(
    asked: PreprocessingSpec, plan: Plan, guess: Guess, warnings: list[str]
) -> Prepared | None:
    """Return how images are prepared for the plan's input; None where it takes none.

    `guess` is taken for what was not asked for. What looks odd is added to `warnings`.
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
    if plan.unlike is not None and not given:
        warnings.append(_not_read_as_images(tensor, plan.unlike))
        return None
    try:
        found, basis = resolved(asked, _best(plan, guess), tensor)
    except InvalidRequestError as error:
        if given or _may_take_images(plan):
            raise NotAnImageInputError(
                f"{error} Only models that take images can be served."
            ) from error
        warnings.append(_not_read_as_images(tensor))
        return None
    if math.prod(found.size) < _FEWEST_PIXELS and asked.size is None:
        warnings.append(_few_pixels(found))
    return Prepared(found, basis)


def refuse_classes(request: FreezeRequest, plan: Plan) -> None:
    """Raise `NotScoresError`, before anything is run, for an output that is a class and no scores.

    Only for models that take images.
    """
    first = plan.outputs[0]
    dtype = tf.as_dtype(first.dtype)
    is_map = first.shape is None or len(first.shape) > 2
    if dtype.is_floating or (is_map and dtype != tf.string and not _are_classes_meant(request)):
        return
    raise NotScoresError(
        f"The first output {first.name} holds {first.dtype}, not scores: name the node before "
        "it, such as the softmax before an argmax."
    )


def prepared_by(
    request: FreezeRequest, plan: Plan, guess: Guess, warnings: list[str]
) -> Prepared | None:
    """Return what `choose_preprocessing` does; None also where no scores are made of images.

    What becomes no scores needs no preprocessing, which may be unknown then.
    """
    try:
        return choose_preprocessing(request.preprocessing, plan, guess, warnings)
    except NotAnImageInputError as error:
        if not _is_only_downloaded(request, plan):
            raise
        warnings.append(f"{error.message} As it gives no scores either, that does not matter.")
        return None


def _is_only_downloaded(request: FreezeRequest, plan: Plan) -> bool:
    """Whether nobody spoke of images or classes, and the first output is no row of numbers."""
    said = request.preprocessing.model_dump(exclude_none=True)
    if said or _are_classes_meant(request):
        return False
    inner = (plan.outputs[0].shape or [])[1:]
    return len([side for side in inner if side != 1]) > 1 or (
        plan.input.dtype != "string" and has_suppression(plan.graph)
    )


def gives_scores(
    request: FreezeRequest,
    plan: Plan,
    answer: Any,
    trace: Trace,
    labels: list[str] | None,
    warnings: list[str],
) -> bool:
    """Whether the first output's answer (images, ...) is one row of scores per image.

    `trace` tells what it is made of, and `labels` are those asked for or found. Where it holds
    something else and that is as it should be, this is added to `warnings`. Raises
    `NotScoresError` where scores are meant but cannot be there.
    """
    first, sides = plan.outputs[0], answer.shape[1:]
    meant = _are_classes_meant(request)
    why = why_no_row(sides, trace.content, is_said=meant)
    if not tf.as_dtype(first.dtype).is_floating:
        why = why or f"it holds {first.dtype}"
    if why is not None and meant:
        raise NotScoresError(
            f"The first output {first.name} is not one row of scores per image: {why}. Name the "
            "node that gives the classes with `outputs` (--output)."
        )
    if why is not None:
        warnings.append(f"{_no_classes(first, why)} {_ONLY_DOWNLOADED}")
        return False
    columns = math.prod(sides)
    if labels is None and request.scores is None:
        why = why_no_classes(trace, columns, plan.loss, (first.name, *plan.called))
    if why is not None:
        kind = "sigmoid" if columns == 1 else "logits"
        warnings.append(
            f"{_no_classes(first, why)} {_ONLY_DOWNLOADED} If these are scores of classes, say so: "
            f"freeze again with `scores` (--scores {kind}, or probabilities) or with their labels "
            "(--labels)."
        )
    return why is None


def _no_classes(first: Tensor, why: str) -> str:
    return f"The first output {first.name} is not taken for scores of classes: {why}."


def _not_read_as_images(tensor: Tensor, instead: str | None = None) -> str:
    what = f" It takes {instead}." if instead else ""
    return (
        f"The input {tensor} does not take images, as far as its shape and type show.{what} "
        f"{_ONLY_DOWNLOADED} If it does take images, say so with `preprocessing` "
        "(--preprocessing), for instance with their size."
    )


def _are_classes_meant(request: FreezeRequest) -> bool:
    """Whether something was said that only makes sense for classes."""
    return request.labels is not None or request.scores is not None


def _best(plan: Plan, guess: Guess) -> Guess:
    """Return what is known best: what was in front of the input shows more than what is behind."""
    if plan.before.reasons:
        return plan.before
    if plan.takes_bytes is None:
        return guess
    if not plan.takes_bytes:
        reason = "in front of the input, pixels are scaled in a way that does not show"
        return Guess(reasons=[reason])
    reason = "the input takes what the decoder gives: values from 0 to 255"
    return Guess(spec=PreprocessingSpec(preset="raw"), kind="read", reasons=[reason])


def _may_take_images(plan: Plan) -> bool:
    """Whether the input could be that of images, of which only size or layout are not known."""
    shape = plan.input.shape
    if shape is not None and len(shape) == 4:
        return bool({shape[1], shape[3]} & {1, 3, None})
    is_open = shape is None or (len(shape) in (2, 3) and None in shape[1:])
    return is_open and any(node.op in _SEEING for node in plan.graph)


def _few_pixels(found: Preprocessing) -> str:
    height, width = found.size
    size = f"'{{\"size\": [{height}, {width}]}}'"
    return (
        f"The input takes {math.prod(found.size) * found.channels} number(s) at a time; they are "
        f"taken as the pixels of an image of {height}x{width}. If they are none, predictions mean "
        f"nothing; if they are, say so with `preprocessing` (--preprocessing {size})."
    )

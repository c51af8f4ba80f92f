"""What a preprocessing rests on: what was stated, what is known of the model, what is assumed."""

import tensorflow as tf

from freezing.choosing.preprocessing_guess import Field, Guess
from worker.errors import InvalidRequestError
from worker.models.alternatives import distinct, usual
from worker.models.basis import (
    MOST_REASONS,
    VALUES,
    Aspect,
    Basis,
    BasisKind,
    least,
    said_by,
    stated_in,
)
from worker.models.manifest import Tensor
from worker.models.preprocessing import Preprocessing, PreprocessingSpec, resolve_preprocessing

_LONGEST_REASON = 2000
# What people who state a scaling leave out where it is the usual.
_SHOWN: tuple[Field, ...] = ("color", "resize", "filter")


def resolved(asked: PreprocessingSpec, guess: Guess, tensor: Tensor) -> tuple[Preprocessing, Basis]:
    """Return how images become `tensor`, and on what that rests.

    `guess` is taken for what was not stated, if it fits. Raises `InvalidRequestError` where it
    cannot be said how.
    """
    try:
        found = resolve_preprocessing(_joined(asked, guess), tensor.shape, tensor.dtype)
    except InvalidRequestError:
        if guess.spec == PreprocessingSpec():
            raise
        # What was made of something that does not fit to the input is no knowledge of it.
        return resolved(asked, Guess(), tensor)
    fields = _fields(asked, guess, tensor, found)
    assumed = [aspect for aspect, kind in fields.items() if kind == "assumed"]
    stated = {aspect for aspect, kind in fields.items() if kind == "stated"}
    own = [one for one in guess.alternatives if not said_by(one.preprocessing) & stated]
    told = {*fields} - stated - ({"size"} - said_by(guess.spec))
    reasons = list(guess.reasons) if told else []
    if "scaling" not in said_by(guess.spec):
        if fields["scaling"] == "read":
            reasons.append(f"the input takes whole numbers ({tensor.dtype}): pixels as they are")
        elif fields["scaling"] == "assumed":
            reasons.append("how pixels are scaled does not show in the graph")
    return found, Basis(
        kind=least(fields),
        fields=fields,
        reasons=[reason[:_LONGEST_REASON] for reason in reasons[:MOST_REASONS]],
        alternatives=distinct([*own, *usual(found, assumed)]),
    )


def _joined(asked: PreprocessingSpec, guess: Guess) -> PreprocessingSpec:
    """Return what was stated, and what is known of the rest."""
    stated = asked.model_dump(exclude_none=True)
    rest = guess.spec.model_dump(exclude_none=True)
    if "scaling" in said_by(asked):
        # All of these say together which numbers pixels become, and whoever says that knows how
        # images are prepared: no usage of others counts against it, only what the graph shows.
        others = {name for name in _SHOWN if guess.kinds.get(name, guess.kind) != "read"}
        rest = {name: value for name, value in rest.items() if name not in VALUES | others}
    if "color" in said_by(asked):
        rest.pop("color", None)
    return PreprocessingSpec(**{**rest, **stated})


def _fields(
    asked: PreprocessingSpec, guess: Guess, tensor: Tensor, found: Preprocessing
) -> dict[Aspect, BasisKind]:
    said, stated, known = said_by(asked), stated_in(asked), said_by(guess.spec)
    fields: dict[Aspect, BasisKind] = {}
    dtype = tf.as_dtype(tensor.dtype)
    if "scaling" in said:
        fields["scaling"] = "stated"
    elif "scaling" in known:
        fields["scaling"] = guess.kinds.get("scaling", guess.kind)
    else:
        fields["scaling"] = "read" if dtype.is_integer else "assumed"
    if found.channels == 3:
        kind = guess.kinds.get("color", guess.kind) if "color" in known else "assumed"
        # A model that shows which order it takes takes that, whatever the scaling.
        is_stated = "color" in said or ("color" in stated and kind != "read")
        fields["color"] = "stated" if is_stated else kind
    if "size" in said:
        fields["size"] = "stated"
    elif _shows_size(tensor, found):
        fields["size"] = "read"
    else:
        kind = guess.kinds.get("size", guess.kind)
        fields["size"] = kind if "size" in known else "assumed"
    return fields


def _shows_size(tensor: Tensor, found: Preprocessing) -> bool:
    """Whether height and width are in the input's shape, of which a flat one has only the area."""
    if tensor.shape is None or found.layout == "flat":
        return False
    height, width = (2, 3) if found.layout == "NCHW" else (1, 2)
    return None not in (tensor.shape[height], tensor.shape[width])

"""What is known of how images are prepared where nothing was stated, and how it is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pydantic import ValidationError

from freezing.choosing.preprocessing.graph_reading import as_spec, in_front
from freezing.graph.flow import DECODERS
from freezing.graph.graph import Endpoint, Graph
from worker.models.basis import Alternative, Aspect, BasisKind
from worker.models.preprocessing import PreprocessingSpec

Field = Aspect | Literal["resize", "filter"]  # what may be known in another way than the rest


@dataclass(frozen=True, kw_only=True)
class Guess:
    """Fields of a preprocessing that are not stated, and what shows them.

    What `spec` leaves out is not known.
    """

    spec: PreprocessingSpec = field(default_factory=PreprocessingSpec)
    kind: BasisKind = "assumed"  # how what `spec` says is known
    kinds: Mapping[Field, BasisKind] = field(default_factory=dict)  # where that differs
    reasons: list[str] = field(default_factory=list)
    alternatives: list[Alternative] = field(default_factory=list)  # likeliest first


def guess_before(whole: Graph, end: Endpoint) -> Guess:
    """Return what lies between a decoder and the tensor `end`, which a worker does in its place.

    Empty where no decoder is in front, or where it does more than scale and reorder.
    """
    needed = whole.ancestors([end.node])
    decoders = [node.name for node in whole if node.name in needed and node.op in DECODERS]
    pixels = in_front(whole, Endpoint(decoders[0], 0), end) if len(decoders) == 1 else None
    if pixels is None or pixels.sources not in _COLORS:
        return Guess()
    reason = "the input takes what the decoder gives: values from 0 to 255"
    scaled = PreprocessingSpec(preset="raw")
    if pixels.steps:
        reason = f"in front of the input, pixels are scaled by {' and '.join(pixels.steps)}"
        try:
            scaled = as_spec(pixels.factor, pixels.offset)
        except (ValidationError, ZeroDivisionError):
            return Guess()  # numbers that no preprocessing has
    spec = scaled.model_copy(update={"color": _COLORS[pixels.sources]})
    return Guess(spec=spec, kind="read", reasons=[reason])


# The decoders of TensorFlow give red, green, blue.
_COLORS = {(0, 1, 2): "rgb", (2, 1, 0): "bgr", (0,): None}

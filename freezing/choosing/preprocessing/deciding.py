"""How images are prepared for a network of which nothing was said, and on what that rests.

What is read in the graph comes first, then what is recognised, then what is measured; what is left
is the usual way, and assumed. Scaling and colours are known each in its own way.
"""

from dataclasses import dataclass

from freezing.choosing.preprocessing.clues import PreprocessingClues
from freezing.choosing.preprocessing.families import KERAS, RAW, SLIM, ZERO_ONE, Family
from freezing.choosing.preprocessing.pixel_ranges import Color
from freezing.choosing.preprocessing.spread import AnsweredRange
from freezing.choosing.preprocessing_guess import Field, Guess
from worker.models.basis import Alternative, BasisKind
from worker.models.preprocessing import PreprocessingSpec

# Of networks that their library has trained itself. One of Keras' with 1001 is by somebody else.
_IMAGENET_CLASSES = {SLIM: (1000, 1001), KERAS: (1000,)}


@dataclass(frozen=True, kw_only=True)
class _Scaling:
    """Which numbers pixels become, how that is known, and what else it may be."""

    spec: PreprocessingSpec
    kind: BasisKind
    reasons: list[str]
    alternatives: tuple[Alternative, ...] = ()
    knows_color: bool = False  # whether the order of colours is known with it


def decide(found: PreprocessingClues, answered: AnsweredRange | None = None) -> Guess:
    """Return how images are prepared, from what a graph tells and, if it was run, `answered`."""
    scaling = _scaling(found, answered)
    color, color_kind = _color(found, scaling)
    fields = scaling.spec.model_dump(exclude_none=True)
    reasons = list(scaling.reasons)
    if found.channels == 1:
        fields.pop("color", None)
    elif color is not None:
        fields["color"] = color
    exporter = found.exporter
    if exporter is not None:
        fields |= exporter.prepared.model_dump(include={"resize", "filter"}, exclude_none=True)
    elif found.is_keras_scaled and found.reading.scaling == RAW:
        fields["filter"] = "tf_bilinear"
        reasons.append(
            "it scales pixels in a layer of Keras, as networks do that are trained on "
            "image_dataset_from_directory, which resizes with tf.image.resize"
        )
    kinds: dict[Field, BasisKind] = {"color": color_kind, "resize": "assumed", "filter": "assumed"}
    if found.resized_by is not None:
        fields["filter"], kinds["filter"] = found.resized_by, "read"
        reasons.append(f"it resizes images itself ({found.resized_by})")
    return Guess(
        spec=PreprocessingSpec(**fields),
        kind=scaling.kind,
        kinds=kinds,
        reasons=reasons,
        alternatives=list(scaling.alternatives),
    )


def _scaling(found: PreprocessingClues, answered: AnsweredRange | None) -> _Scaling:
    exporter, family = found.exporter, found.family
    if found.reading.scaling is not None:
        made_by = [exporter.reason] if exporter is not None and found.is_as_exported else []
        reasons = [*found.reading.reasons, *made_by]
        return _Scaling(spec=found.reading.scaling, kind="read", reasons=reasons)
    if exporter is not None and not _contradicts(exporter.prepared, answered):
        return _Scaling(
            spec=_values(exporter.prepared),
            kind=exporter.kind if found.is_fed else "assumed",
            reasons=[exporter.reason, *_why(answered)],
            knows_color=True,
        )
    if found.moments.is_sure and found.moments.scaling is not None and not _is_pretrained(found):
        return _Scaling(spec=found.moments.scaling, kind="read", reasons=found.moments.reasons)
    if family is not None:
        return _of_family(family, found, answered)
    spec, reasons = PreprocessingSpec(), _why(answered)
    if found.moments.scaling is not None:
        spec, reasons = found.moments.scaling, found.moments.reasons
    elif answered is not None:
        spec = RAW if answered.fed == "raw" else ZERO_ONE
    return _Scaling(spec=spec, kind="assumed", reasons=reasons)


def _of_family(
    family: Family, found: PreprocessingClues, answered: AnsweredRange | None
) -> _Scaling:
    called = f"by the names of its layers it is a {family.name} of {family.library}"
    is_contradicted = _contradicts(family.prepared, answered)
    classes = _IMAGENET_CLASSES.get(family.library, (1000,))
    is_whole = found.classes in classes and found.is_fed
    if is_whole and family.second == ZERO_ONE and not is_contradicted:
        return _Scaling(
            spec=family.prepared,
            kind="recognised",
            reasons=[f"{called} with the classes of ImageNet, and prepared as for these"],
            knows_color=True,
        )
    own = Alternative(
        preprocessing=family.prepared, reason=f"it is fed as {family.library} feeds {family.name}"
    )
    second = Alternative(
        preprocessing=family.second, reason="it was trained further, and fed otherwise for that"
    )
    measured = found.moments.scaling
    if measured not in (None, family.prepared) and not _is_pretrained(found):
        return _Scaling(
            spec=measured or family.prepared,
            kind="assumed",
            reasons=[f"{called}, but {' and '.join(found.moments.reasons)}"],
            alternatives=(own,),
        )
    if answered is not None and is_contradicted:
        return _Scaling(
            spec=RAW if answered.fed == "raw" else ZERO_ONE,
            kind="assumed",
            reasons=[f"{called}, but {answered.reason}"],
            alternatives=(own,),
        )
    return _Scaling(
        spec=family.prepared,
        kind="assumed",
        reasons=[f"{called}, which most people feed as that library does", *_why(answered)],
        alternatives=(second,),
    )


def _is_pretrained(found: PreprocessingClues) -> bool:
    """Whether what was measured may be of the pictures that a library trained its network on.

    So it stays where that network is kept as it is and only its last layers are trained.
    """
    if found.family is None:
        return False
    return found.moments.color is not None or found.moments.scaling == found.family.prepared


def _contradicts(prepared: PreprocessingSpec, answered: AnsweredRange | None) -> bool:
    """Whether the network answers to another range than that of a preprocessing."""
    if answered is None:
        return False
    return (prepared.preset in ("raw", "caffe")) != (answered.fed == "raw")


def _color(found: PreprocessingClues, scaling: _Scaling) -> tuple[Color | None, BasisKind]:
    """Return the order of colours, as far as anything tells it, and how it is known."""
    if found.reading.color is not None:
        return found.reading.color, "read"
    if found.exporter is not None and found.exporter.prepared.color is not None:
        color: Color = "bgr" if found.exporter.prepared.color == "bgr" else "rgb"
        is_doubtful = not found.is_as_exported or (
            found.reading.scaling is None and (not scaling.knows_color or scaling.kind == "assumed")
        )
        kind = found.exporter.color_kind or found.exporter.kind
        return color, "assumed" if is_doubtful else kind
    if scaling.spec.preset == "caffe":
        return None, scaling.kind  # the preset has an order
    if scaling.knows_color:
        return "rgb", scaling.kind
    if found.moments.color is not None and not _is_pretrained(found):
        # Pictures of another kind may have, by chance, means like ImageNet's in the other order.
        return found.moments.color, "assumed"
    return None, "assumed"


def _values(spec: PreprocessingSpec) -> PreprocessingSpec:
    """Return what of it says which numbers pixels become."""
    return PreprocessingSpec(
        **spec.model_dump(include={"preset", "scale", "mean", "std"}, exclude_none=True)
    )


def _why(answered: AnsweredRange | None) -> list[str]:
    return [] if answered is None else [answered.reason]

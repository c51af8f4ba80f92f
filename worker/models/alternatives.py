"""Other likely preprocessings, where a version's preprocessing is assumed."""

from collections.abc import Collection, Iterable
from typing import Any, Final

from worker.models.basis import MOST_ALTERNATIVES, Alternative, Aspect
from worker.models.preprocessing import PRESETS, Color, Preprocessing, PreprocessingSpec

# Presets by how many networks take them, and what training code does that they are right for.
_SCALINGS: Final[dict[str, str]] = {
    "zero_one": "the training code divides pixels by 255",
    "minus_one_one": "the training code brings pixels to -1..1 (x / 127.5 - 1), as for MobileNet",
    "raw": "the training code takes pixels as they are, from 0 to 255",
    "caffe": "the training code takes off ImageNet's means, as for VGG (Keras' mode `caffe`)",
    "imagenet": "the training code scales by ImageNet's means and deviations, as for DenseNet",
    "centered": "the training code takes off 128 and divides by 128, as `retrain.py` does",
    "standardise": "the training code calls `tf.image.per_image_standardization`",
}
_ORDERS: Final[dict[Color, str]] = {"rgb": "red, green, blue", "bgr": "blue, green, red"}
_COLORS: Final[dict[Color, str]] = {
    "bgr": f"the training code reads images with OpenCV (`cv2.imread`): {_ORDERS['bgr']}",
    "rgb": f"the training code reads images with Pillow, Keras or TensorFlow: {_ORDERS['rgb']}",
}


def usual(found: Preprocessing, assumed: Collection[Aspect]) -> list[Alternative]:
    """Return the usual ways to prepare images that differ from `found` in what is assumed.

    What is not assumed stays as it is. A scaling comes with its order of colours, so that a choice
    states both.
    """
    made = []
    is_coloured, any_order = found.channels == 3, "color" in assumed
    if any_order and is_coloured:
        color: Color = "rgb" if found.color == "bgr" else "bgr"
        made.append(Alternative(preprocessing=_spec({"color": color}), reason=_COLORS[color]))
    for preset, reason in _SCALINGS.items() if "scaling" in assumed else ():
        fields = PRESETS[preset]
        per_channel = len(fields["mean"]) > 1  # in the order of red, green, blue, if no other
        own: Color = fields.get("color", "rgb" if per_channel else found.color)
        if has(found, fields) or (per_channel and not is_coloured):
            continue
        if own != found.color and not any_order:
            continue
        said = {"preset": preset, **({"color": own} if is_coloured else {})}
        order = f"; colours are {_ORDERS[own]}" if is_coloured and any_order else ""
        made.append(Alternative(preprocessing=_spec(said), reason=f"{reason}{order}"))
    return made


def _spec(fields: dict[str, Any]) -> PreprocessingSpec:
    return PreprocessingSpec.parse(fields)


def distinct(found: Iterable[Alternative]) -> list[Alternative]:
    """Return them without those that say the same as an earlier one, and no more than are kept."""
    made: dict[str, Alternative] = {}
    for one in found:
        made.setdefault(one.preprocessing.model_dump_json(exclude_none=True), one)
    return list(made.values())[:MOST_ALTERNATIVES]


def has(found: Preprocessing, fields: dict[str, Any]) -> bool:
    """Whether images are prepared by these fields of a preset."""
    return all(getattr(found, name) == value for name, value in fields.items())

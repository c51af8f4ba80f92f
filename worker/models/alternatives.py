"""What else may be meant where it is assumed how images are prepared."""

from collections.abc import Collection
from typing import Any, Final

from worker.models.basis import Alternative, Aspect
from worker.models.preprocessing import PRESETS, Color, Preprocessing, PreprocessingSpec

# Presets by how many networks take them, and what training code does that they are right for.
_SCALINGS: Final[dict[str, str]] = {
    "zero_one": "the training code divides pixels by 255",
    "minus_one_one": "the training code brings pixels to -1..1 (x / 127.5 - 1), as for MobileNet",
    "raw": "the training code takes pixels as they are, from 0 to 255",
    "caffe": "the training code takes ImageNet's means off blue, green, red, as for VGG",
    "imagenet": "the training code scales by ImageNet's means and deviations, as for DenseNet",
}
_COLORS: Final[dict[Color, str]] = {
    "bgr": "the training code reads images with OpenCV (`cv2.imread`): blue, green, red",
    "rgb": "the training code reads images with Pillow, Keras or TensorFlow: red, green, blue",
}


def usual(found: Preprocessing, assumed: Collection[Aspect]) -> list[Alternative]:
    """Return the usual ways to prepare images that differ from `found` in what is assumed."""
    made = []
    if "color" in assumed and found.channels == 3:
        color: Color = "rgb" if found.color == "bgr" else "bgr"
        spec = PreprocessingSpec(color=color)
        made.append(Alternative(preprocessing=spec, reason=_COLORS[color]))
    if "scaling" in assumed:
        for preset, reason in _SCALINGS.items():
            fields = PRESETS[preset]
            if len(fields["mean"]) <= found.channels and not has(found, fields):
                spec = PreprocessingSpec.parse(preset)
                made.append(Alternative(preprocessing=spec, reason=reason))
    return made


def has(found: Preprocessing, fields: dict[str, Any]) -> bool:
    """Whether images are prepared by these fields of a preset."""
    return all(getattr(found, name) == value for name, value in fields.items())

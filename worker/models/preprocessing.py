"""How an image becomes a network's input: what is asked for, and what was resolved.

Presets are the field's usual ones; `caffe` and `imagenet` carry the channel means (and standard
deviations) of ImageNet as in `keras.applications.imagenet_utils.preprocess_input`, modes
"caffe" and "torch". `standardise` is `tf.image.per_image_standardization`, and `centered` what the
retraining scripts of TensorFlow 1 do.
"""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from worker.contract.requests import INTEGRAL, Flag, Number, said
from worker.errors import InvalidRequestError
from worker.printable import no_field

Preset = Literal["zero_one", "minus_one_one", "centered", "raw", "caffe", "imagenet", "standardise"]
Resize = Literal["stretch", "crop", "pad"]
Color = Literal["rgb", "bgr", "gray"]
Layout = Literal["NHWC", "NCHW", "HW", "flat"]
Filter = Literal[
    "bilinear",
    "nearest",
    "bicubic",
    "box",
    "lanczos",
    "tf_bilinear",
    "tf1_bilinear",
    "cv2_linear",
    "cv2_area",
]
_MOST_SIDE = 8192  # pixels
_Side = Annotated[
    int,
    Field(strict=True, json_schema_extra={"minimum": 1, "maximum": _MOST_SIDE}),
    INTEGRAL,
]
Shape = Sequence[int | None] | None

_PLAIN: dict[str, Any] = {"mean": [0.0], "std": [1.0], "standardise": False}
# Each says all of what numbers pixels become.
PRESETS: dict[str, dict[str, Any]] = {
    "zero_one": {**_PLAIN, "scale": 1 / 255},
    "minus_one_one": {**_PLAIN, "scale": 1 / 127.5, "mean": [1.0]},
    "centered": {**_PLAIN, "scale": 1 / 128, "mean": [1.0]},
    "raw": {**_PLAIN, "scale": 1.0},
    "caffe": {**_PLAIN, "scale": 1.0, "mean": [103.939, 116.779, 123.68], "color": "bgr"},
    "imagenet": {
        **_PLAIN,
        "scale": 1 / 255,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
    },
    "standardise": {**_PLAIN, "scale": 1.0, "standardise": True},
}


_GIVE_SIZE = (
    "give preprocessing.size as [height, width] (--preprocessing '{\"size\": [HEIGHT, WIDTH]}')"
)
_LAYOUTS: dict[int, tuple[Layout, ...]] = {1: ("flat",), 2: ("HW",), 3: ("NHWC", "NCHW")}


class PreprocessingSpec(BaseModel):
    """What a person gives: a preset, fields that override it, or nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    preset: Preset | None = None
    size: tuple[_Side, _Side] | None = Field(None, description="Height and width in pixels.")
    resize: Resize | None = None
    color: Color | None = None
    scale: Number | None = None
    mean: list[Number] | None = Field(None, min_length=1, max_length=4)
    std: list[Number] | None = Field(None, min_length=1, max_length=4)
    layout: Layout | None = None
    filter: Filter | None = Field(
        None,
        description="What an image is resized with: Pillow's `bilinear` (if nothing is said), "
        "`nearest`, `bicubic`, `box` or `lanczos`; `tf_bilinear` (`tf.image.resize`), "
        "`tf1_bilinear` (`tf.compat.v1.image.resize_bilinear`); `cv2_linear` or `cv2_area` "
        "(`cv2.resize`).",
    )
    standardise: Flag | None = Field(
        None,
        description="Whether the image's own mean is taken away and its values are divided by "
        "their deviation, as `tf.image.per_image_standardization` does.",
    )

    @model_validator(mode="after")
    def _sensible(self) -> "PreprocessingSpec":
        if self.size is not None and not all(0 < side <= _MOST_SIDE for side in self.size):
            raise ValueError(f"size must be [height, width], each between 1 and {_MOST_SIDE}")
        if self.std is not None and any(value == 0 for value in self.std):
            raise ValueError("std must not hold 0, because pixels are divided by it")
        numbers = [self.scale or 0.0, *(self.mean or []), *(self.std or [])]
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError("scale, mean and std must be finite numbers")
        if self.scale is not None and not 1e-9 <= abs(self.scale) <= 1e9:
            raise ValueError("scale must not be 0 and must lie between 1e-9 and 1e9")
        return self

    @classmethod
    def parse(cls, value: Any) -> "PreprocessingSpec":
        """Read a preset's name or a dictionary of fields; raise `InvalidRequestError`."""
        if value is None:
            return cls()
        if isinstance(value, cls):
            return value
        presets = f"Presets are {', '.join(PRESETS)}."
        fields = {"preset": value} if isinstance(value, str) else value
        if not isinstance(fields, dict):
            raise InvalidRequestError(
                f"preprocessing must be a preset, or an object of fields such as `color`. {presets}"
            )
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            if first["type"] == "extra_forbidden":
                wrong = no_field("preprocessing", where, cls.model_fields)
            else:
                wrong = said(first, within="preprocessing")
            named = where == "preset"  # which says them already
            raise InvalidRequestError(wrong if named else f"{wrong} {presets}") from None


class Preprocessing(BaseModel):
    """How this version's images are prepared, every field resolved.

    An image is decoded, turned to `color`, resized to `size` with `filter`, and each channel
    becomes `(value * scale - mean) / std`, where `value` is 0..255 and `mean` and `std` hold one
    number or one per channel, in the order of `color`. With `standardise` the mean of all values is
    taken away then, and they are divided by their standard deviation, or by
    `1 / sqrt(number of values)` where that is more.
    """

    model_config = ConfigDict(
        extra="ignore", frozen=True, json_schema_serialization_defaults_required=True
    )

    size: tuple[int, int]
    resize: Resize = "stretch"
    color: Color = "rgb"
    scale: float = 1 / 255
    mean: list[float] = Field(default_factory=lambda: [0.0])
    std: list[float] = Field(default_factory=lambda: [1.0])
    layout: Layout = "NHWC"
    filter: Filter = "bilinear"
    standardise: bool = False

    @property
    def channels(self) -> int:
        """Number of channels after colour conversion."""
        return 1 if self.color == "gray" else 3

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one prepared image."""
        height, width = self.size
        match self.layout:
            case "NHWC":
                return height, width, self.channels
            case "NCHW":
                return self.channels, height, width
            case "HW":
                return height, width
            case "flat":
                return (height * width * self.channels,)


def resolve_preprocessing(spec: PreprocessingSpec, shape: Shape, dtype: str) -> Preprocessing:
    """Fill what `spec` leaves open from the shape (batch first) and dtype of the graph's input.

    Raises `InvalidRequestError` where the shape leaves the size open or contradicts the fields.
    """
    layout, size, channels = _from_shape(spec, shape)
    if channels not in (None, 1, 3):
        raise InvalidRequestError(
            f"The graph's input has the shape {_show(shape)}, so {channels} channels in the layout "
            f"{layout}, but images have 1 or 3: set preprocessing.layout or name another input "
            "(--input)."
        )
    fields: dict[str, Any] = dict(
        PRESETS[spec.preset or ("raw" if "int" in dtype else "zero_one")],
    )
    fields.update(spec.model_dump(exclude_none=True, exclude={"preset"}))
    fields.setdefault("color", "gray" if channels == 1 else "rgb")
    fields.update(layout=layout, size=size)
    resolved = Preprocessing(**fields)
    if channels is not None and resolved.channels != channels:
        fitting, typed = ("gray", "gray") if channels == 1 else ("rgb or bgr", "rgb")
        raise InvalidRequestError(
            f"The graph's input has {channels} channel(s), but color '{resolved.color}' gives "
            f"{resolved.channels}: set preprocessing.color to {fitting} "
            f'(--preprocessing \'{{"color": "{typed}"}}\').'
        )
    for name in ("mean", "std"):
        count = len(getattr(resolved, name))
        if count not in (1, resolved.channels):
            raise InvalidRequestError(
                f"preprocessing.{name} holds {count} numbers, but the image has "
                f"{resolved.channels} channel(s): give one number or one per channel."
            )
    return resolved


def _from_shape(
    spec: PreprocessingSpec, shape: Shape
) -> tuple[Layout, tuple[int, int], int | None]:
    if shape is None:
        layout = spec.layout or "NHWC"
        return layout, _needed(spec.size, "of unknown rank"), 1 if layout == "HW" else None
    inner = list(shape[1:])
    rank = len(inner)
    if spec.layout is not None and rank in _LAYOUTS and spec.layout not in _LAYOUTS[rank]:
        raise InvalidRequestError(
            f"preprocessing.layout is {spec.layout}, but the graph's input has the shape "
            f"{_show(shape)}: set it to {' or '.join(_LAYOUTS[rank])} or leave it out."
        )
    if rank == 3:
        layout = spec.layout or (
            "NCHW" if inner[0] in (1, 3) and inner[2] not in (1, 3) else "NHWC"
        )
        height, width, channels = inner if layout == "NHWC" else (inner[1], inner[2], inner[0])
        return layout, _agreed(spec.size, (height, width), shape), channels
    if rank == 2:
        return "HW", _agreed(spec.size, (inner[0], inner[1]), shape), 1
    if rank == 1:
        return _flat(spec, inner[0], shape)
    raise InvalidRequestError(
        f"The graph's input has the shape {_show(shape)}, which is not that of images: "
        "name the node that takes images with `inputs`."
    )


def _flat(
    spec: PreprocessingSpec, length: int | None, shape: Shape
) -> tuple[Layout, tuple[int, int], int | None]:
    if length is None or spec.size is not None:
        size = _needed(spec.size, f"of shape {_show(shape)}")
        if length is None:
            return "flat", size, None
        channels, rest = divmod(length, size[0] * size[1])
        if rest or channels not in (1, 3):
            raise InvalidRequestError(
                f"The graph's input has the shape {_show(shape)}, which is not "
                f"{size[0]} x {size[1]} pixels of 1 or 3 channels."
            )
        return "flat", size, channels
    for channels in (1, 3):
        side = math.isqrt(length // channels)
        if side * side * channels == length:
            return "flat", (side, side), channels
    raise InvalidRequestError(
        f"The graph's input has the shape {_show(shape)}, which is not a square image: "
        f"{_GIVE_SIZE}."
    )


def _agreed(
    asked: tuple[int, int] | None, found: tuple[int | None, int | None], shape: Shape
) -> tuple[int, int]:
    height, width = found
    if asked is not None:
        if any(have not in (None, want) for want, have in zip(asked, found, strict=True)):
            raise InvalidRequestError(
                f"preprocessing.size is {list(asked)}, but the graph's input has the shape "
                f"{_show(shape)}."
            )
        return asked
    if height is None or width is None:
        return _needed(None, f"of shape {_show(shape)}")
    return height, width


def _needed(size: tuple[int, int] | None, what: str) -> tuple[int, int]:
    if size is None:
        raise InvalidRequestError(f"The graph's input is {what}: {_GIVE_SIZE}.")
    return size


def _show(shape: Shape) -> str:
    if shape is None:
        return "?"
    return f"[{', '.join('?' if side is None else str(side) for side in shape)}]"

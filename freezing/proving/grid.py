"""The ways of preparing images that may be meant: what values, colours, resizing there are."""

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from worker.models.preprocessing import (
    PRESETS,
    Color,
    Filter,
    Preprocessing,
    PreprocessingSpec,
    Resize,
)

_VALUES = ("scale", "mean", "std", "standardise")
_SAID = frozenset({"preset", *_VALUES})  # what of a spec says which numbers pixels become
_CLOSE = 0.01  # of the range of values, within which two scalings are the same for a network
_RESIZED = {"stretch": "stretched", "crop": "cropped in the middle", "pad": "padded with black"}


@dataclass(frozen=True, kw_only=True)
class PreprocessingCandidate:
    """One way of preparing images: in full, and as a freeze takes it."""

    preprocessing: Preprocessing
    spec: PreprocessingSpec

    @cached_property
    def values(self) -> npt.NDArray[np.float64]:
        """What the pixels 0 and 255 become, (2, channels)."""
        found = self.preprocessing
        pixels = np.array([[0.0], [255.0]]) * found.scale
        return np.broadcast_to((pixels - found.mean) / found.std, (2, found.channels))

    def is_scaled_alike(self, other: "PreprocessingCandidate") -> bool:
        """Whether red, green and blue become numbers so close that no network tells them apart."""
        own, others = self.preprocessing, other.preprocessing
        if own.standardise or others.standardise:
            return bool(own.standardise == others.standardise)
        mine, its = (
            one.values[:, ::-1] if one.preprocessing.color == "bgr" else one.values
            for one in (self, other)
        )
        return bool((np.abs(mine - its) <= _CLOSE * np.ptp(mine, axis=0)).all())

    def is_alike(self, other: "PreprocessingCandidate") -> bool:
        """Whether the two differ in neither numbers nor colours."""
        same = self.preprocessing.color == other.preprocessing.color
        return same and self.is_scaled_alike(other)

    @property
    def called(self) -> str:
        """The candidate in words."""
        return ", ".join([self.called_values, self.preprocessing.color.upper()])

    @property
    def called_values(self) -> str:
        """In words, which numbers pixels become."""
        if self.preprocessing.standardise:
            return "each picture standardised by its own values"
        low, high = self.values
        if len({*low}) == 1 and len({*high}) == 1:
            return f"values from {low[0]:.4g} to {high[0]:.4g}"
        shown = ", ".join(f"{a:.4g} to {b:.4g}" for a, b in zip(low, high, strict=True))
        return f"values from {shown}"

    @property
    def called_resizing(self) -> str:
        """In words, how the size of images is changed."""
        return f"{_RESIZED[self.preprocessing.resize]} with {self.preprocessing.filter}"


def candidate_of(
    base: Preprocessing, other: PreprocessingSpec | None = None
) -> PreprocessingCandidate:
    """Return `base` as a candidate, or what becomes of it where `other` is said of it."""
    fields = base.model_dump()
    said = {} if other is None else other.model_dump(exclude_none=True)
    if said.keys() & _SAID:
        fields.update(dict.fromkeys(_VALUES), scale=1.0, mean=[0.0], std=[1.0], standardise=False)
        fields.update(PRESETS.get(said.pop("preset", ""), {}))
    return _own(Preprocessing(**{**fields, **said}), frozenset())


def scalings(
    base: Preprocessing, held: Set[str], dtype: npt.DTypeLike
) -> list[PreprocessingCandidate]:
    """Return `base`, and what else values and colours may be, resized as it is.

    What is in `held`, fields of a `PreprocessingSpec` that a person stated, stays. An input of
    whole numbers takes pixels as they are.
    """
    values_held = bool(held & _SAID)
    found = [_own(base, held)]
    for color in _colors(base, held):
        if values_held:
            found.append(_own(_coloured(base, color), held))
            continue
        for name, fields in PRESETS.items():
            if name != "raw" and np.issubdtype(dtype, np.integer):
                continue
            made = _of_preset(base, name, fields, color)
            if made is not None:
                found.append(made)
    return _different(found)


def geometries(taken: PreprocessingCandidate, held: Set[str]) -> list[PreprocessingCandidate]:
    """Return `taken`, and the same values and colours with all other ways of resizing."""
    base = taken.preprocessing
    resizes = [base.resize] if "resize" in held else get_args(Resize)
    filters = [base.filter] if "filter" in held else get_args(Filter)
    found = [taken]
    for resize, filtered in product(resizes, filters):
        update: dict[str, Any] = {"resize": resize, "filter": filtered}
        found.append(
            PreprocessingCandidate(
                preprocessing=base.model_copy(update=update),
                spec=taken.spec.model_copy(update=update),
            )
        )
    return _different(found)


def _colors(base: Preprocessing, held: Set[str]) -> tuple[Color, ...]:
    if base.channels == 1:
        return ("gray",)
    return (base.color,) if "color" in held else ("rgb", "bgr")


def _of_preset(
    base: Preprocessing, name: str, fields: dict[str, Any], color: Color
) -> PreprocessingCandidate | None:
    """Return a preset in the colours; None where it has means of three channels for one."""
    own = fields.get("color", "rgb")
    several = max(len(fields.get(key, [0.0])) for key in ("mean", "std"))
    if base.channels == 1 and several > 1:
        return None
    values = {key: value for key, value in fields.items() if key != "color"}
    said: dict[str, Any] = {"preset": name, "color": color}
    if color != own and several > 1:  # of each channel its own, whatever order they come in
        turned = {key: fields[key][::-1] for key in ("mean", "std") if len(fields.get(key, [])) > 1}
        values.update(turned)
        said.update(turned)
    resized = {key: getattr(base, key) for key in ("size", "resize", "layout", "filter")}
    return PreprocessingCandidate(
        preprocessing=Preprocessing(**resized, color=color, **values),
        spec=PreprocessingSpec(**said, **_resizing_said(base)),
    )


def _own(base: Preprocessing, held: Set[str]) -> PreprocessingCandidate:
    """Return what was taken so far as a candidate, by a preset's name where it is one."""
    for name, fields in PRESETS.items():
        made = _of_preset(base, name, fields, base.color)
        if made is not None and made.preprocessing == base and not held & _SAID:
            return made
    said = {key: getattr(base, key) for key in _VALUES}
    return PreprocessingCandidate(
        preprocessing=base,
        spec=PreprocessingSpec(**said, color=base.color, **_resizing_said(base)),
    )


def _resizing_said(base: Preprocessing) -> dict[str, Any]:
    said: dict[str, Any] = {} if base.resize == "stretch" else {"resize": base.resize}
    return said if base.filter == "bilinear" else {**said, "filter": base.filter}


def _coloured(base: Preprocessing, color: Color) -> Preprocessing:
    if color == base.color:
        return base
    return base.model_copy(update={"color": color, "mean": base.mean[::-1], "std": base.std[::-1]})


def _different(found: Iterable[PreprocessingCandidate]) -> list[PreprocessingCandidate]:
    """Return those of the candidates that are not an earlier one again."""
    kept: list[PreprocessingCandidate] = []
    for one in found:
        if all(one.preprocessing != other.preprocessing for other in kept):
            kept.append(one)
    return kept


def kinds(candidates: Sequence[PreprocessingCandidate]) -> list[int]:
    """Return a number for each candidate, the same for those that are alike."""
    found: list[int] = []
    for place, one in enumerate(candidates):
        first = (found[other] for other in range(place) if candidates[other].is_alike(one))
        found.append(next(first, place))
    return found

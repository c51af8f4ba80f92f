"""Describing a version's preprocessing in words, with the commands that choose another one."""

import json
import shlex
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from worker.models.alternatives import has
from worker.models.basis import VALUES, Aspect, Basis, BasisKind
from worker.models.manifest import Manifest
from worker.models.preprocessing import PRESETS, Color, Preprocessing

KNOWN_HOW: Final[Mapping[BasisKind, str]] = {
    "stated": "as stated",
    "read": "read from the graph",
    "recognised": "recognised",
    "proven": "proven by examples",
    "assumed": "assumed",
}
_COLORS: Final[Mapping[Color, str]] = {
    "rgb": "colours in the order red, green, blue",
    "bgr": "colours in the order blue, green, red",
    "gray": "shades of gray",
}


class LikelyPreprocessing(NamedTuple):
    """A preprocessing that may be the right one."""

    preprocessing: dict[str, Any]  # as a request takes it
    reason: str  # when it is right: completes "if "
    command: str  # that has images prepared so


def aspects(preprocessing: Preprocessing) -> dict[Aspect, str]:
    """Return in words what decides a version's answers."""
    height, width = preprocessing.size
    return {
        "scaling": _values(preprocessing),
        "color": _COLORS[preprocessing.color],
        "size": f"{height} x {width} pixels",
    }


def known(preprocessing: Preprocessing, basis: Basis) -> list[str]:
    """Return how each thing is known: `values from 0 to 1: assumed`."""
    words = aspects(preprocessing)
    return [f"{words[aspect]}: {KNOWN_HOW[kind]}" for aspect, kind in basis.fields.items()]


def assumption(name: str, preprocessing: Preprocessing | None, basis: Basis | None) -> str | None:
    """Return a sentence that is shown with a model's answers; None where nothing is assumed.

    It ends with what to type.
    """
    if preprocessing is None or basis is None or not basis.assumed:
        return None
    words = aspects(preprocessing)
    what = " and ".join(words[aspect] for aspect in basis.assumed)
    return (
        f"How {name} prepares images is assumed: {what}. If it was trained otherwise, its answers "
        f"are wrong. To compare what may be meant, type `./permafrost try {shlex.quote(name)} "
        f"PHOTO`; for the commands that put it right, type `./permafrost models "
        f"{shlex.quote(name)}`."
    )


def assumption_of(manifest: Manifest) -> str | None:
    """Return that sentence for a version; None also where it answers nobody about an image."""
    if not manifest.classifies:
        return None
    return assumption(manifest.name, manifest.preprocessing, manifest.basis)


def choices(
    command: str, preprocessing: Preprocessing | None, basis: Basis | None
) -> list[LikelyPreprocessing]:
    """Return what may be meant where something is assumed: that it is right, then what else.

    `command` is what takes `--preprocessing` for the model.
    """
    if preprocessing is None or basis is None or not basis.assumed:
        return []
    said = _confirmation(preprocessing, basis)
    meant = [(said, "what is assumed is right")]
    for other in basis.alternatives:
        said = other.preprocessing.model_dump(mode="json", exclude_none=True)
        meant.append((said, other.reason))
    return [
        LikelyPreprocessing(said, reason, f"{command} --preprocessing {option_text(said)}")
        for said, reason in meant
    ]


def republishing(model: str, version: int) -> str:
    """Return the command that takes `--preprocessing` for a published version."""
    return f"./permafrost models {shlex.quote(f'{model}@{version}')}"


def option_text(preprocessing: Mapping[str, Any]) -> str:
    """Return what stands behind `--preprocessing` for these fields, as a shell takes it."""
    if preprocessing.keys() == {"preset"}:
        return str(preprocessing["preset"])
    return shlex.quote(json.dumps(preprocessing))


def _confirmation(preprocessing: Preprocessing, basis: Basis) -> dict[str, Any]:
    """Return what to say where all that is assumed is right."""
    said: dict[str, Any] = {}
    present = preprocessing.model_dump(mode="json", include=set(VALUES))
    if "scaling" in basis.assumed:
        named = (name for name, fields in PRESETS.items() if has(preprocessing, fields))
        preset = next(named, None)
        said = {"preset": preset} if preset else present
    # A preset alone would say that colours are red, green, blue.
    if "color" in basis.assumed or (said and preprocessing.color == "bgr"):
        said["color"] = preprocessing.color
    if "size" in basis.assumed:
        said["size"] = [*preprocessing.size]
    return said


def _values(found: Preprocessing) -> str:
    if found.standardise:  # what is done before hardly matters then
        return "values of mean 0 and deviation 1 in each image"
    if len({*found.mean}) == 1 and len({*found.std}) == 1:
        ends = ((value * found.scale - found.mean[0]) / found.std[0] for value in (0, 255))
        low, high = sorted(ends)
        return f"values from {low:.4g} to {high:.4g}"
    high = 255 * found.scale
    means = ", ".join(f"{value:.4g}" for value in found.mean)
    less = f"values from 0 to {high:.4g} less the mean of each colour ({means})"
    if {*found.std} == {1.0}:
        return less
    return f"{less}, divided by its deviation ({', '.join(f'{value:.4g}' for value in found.std)})"

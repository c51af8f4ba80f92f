"""A version made of another: the same graph, with other preprocessing, labels or scores.

Nothing is frozen, audited or verified again, because the graph's bytes are the same. What is not
said anew stays as it is.
"""

import math
from collections.abc import Sequence
from typing import Any

from worker.errors import InvalidRequestError, NotAClassifierError
from worker.models.alternatives import distinct, usual
from worker.models.assumptions import aspects, assumption
from worker.models.basis import Aspect, Basis, BasisKind, least, said_by, stated_in
from worker.models.manifest import Manifest, ManifestDraft, Scores
from worker.models.preprocessing import (
    PRESETS,
    Preprocessing,
    PreprocessingSpec,
    resolve_preprocessing,
)


def redrafted(
    source: Manifest,
    *,
    preprocessing: PreprocessingSpec | None = None,
    labels: Sequence[str] | None = None,
    scores: Scores | None = None,
) -> ManifestDraft:
    """Return the draft of a version with another preprocessing, labels or scores than `source`.

    What is None stays as it is.

    Raises `NotAClassifierError` where nothing is prepared for the source's input or its output
    is no scores, and `InvalidRequestError` where what is asked for does not fit to its graph.
    """
    present = source.preprocessing
    called = f"{source.name}@{source.version}"
    if present is None or source.scores is None:
        raise NotAClassifierError(
            f"{called} was published to be downloaded, and its graph was not tried on images: "
            "freeze the model again, with --preprocessing, --input and --output."
        )
    nothing = preprocessing in (None, PreprocessingSpec())
    if nothing and labels is None and scores is None:
        raise InvalidRequestError(
            f"Say what is to be different from {called}: preprocessing, labels or scores."
        )
    _check_labels(source, labels)
    resolved, basis = present, source.basis
    if preprocessing is not None:
        spec = _completed(present, preprocessing)
        tensor = source.inputs[0]
        resolved = resolve_preprocessing(spec, tensor.shape, tensor.dtype)
        basis = _basis(source, resolved, preprocessing)
    origin = {name: value for name, value in source.source.items() if name != "job"}
    update = {
        "preprocessing": resolved,
        "basis": basis,
        "labels": labels or source.labels,
        "scores": scores or source.scores,
        "source": {**origin, "version": source.version},
        "report": _report(source, resolved, basis),
        # Other numbers may take a graph another way; workers try each version before they serve it.
        "measured": source.measured if resolved == present else None,
    }
    fields = {name: getattr(source, name) for name in ManifestDraft.model_fields}
    return ManifestDraft(**{**fields, **update})


def _completed(present: Preprocessing, asked: PreprocessingSpec) -> PreprocessingSpec:
    """Return what is asked for, with what is left out as it is."""
    kept: dict[str, Any] = present.model_dump()
    if asked.preset is not None:  # it says all of what numbers pixels become
        for name in {"color", *(field for preset in PRESETS.values() for field in preset)}:
            kept.pop(name, None)
    return PreprocessingSpec(**{**kept, **asked.model_dump(exclude_none=True)})


def _basis(source: Manifest, found: Preprocessing, asked: PreprocessingSpec) -> Basis:
    """Return what the new version's preprocessing rests on: what was said now, else as before."""
    said, before = stated_in(asked), source.basis or _unknown(source)
    fields: dict[Aspect, BasisKind] = {}
    for name in aspects(found):
        if name in said:
            fields[name] = "stated"
        elif name != "color" or found.channels > 1:
            fields[name] = before.fields.get(name, "assumed")
    assumed = [name for name, kind in fields.items() if kind == "assumed"]
    kept = [one for one in before.alternatives if said_by(one.preprocessing) <= {*assumed}]
    is_told = {kind for name, kind in fields.items() if name != "size"} <= {"stated"}
    return Basis(
        kind=least(fields),
        fields=fields,
        reasons=[] if is_told else before.reasons,
        alternatives=distinct([*kept, *usual(found, assumed)]),
    )


def _unknown(source: Manifest) -> Basis:
    """Return the basis of a version that was published before manifests recorded it."""
    reason = f"it was not told when version {source.version} was published"
    return Basis(
        kind="assumed",
        fields={"size": "read"},
        reasons=[reason],
    )


def _report(source: Manifest, found: Preprocessing, basis: Basis | None) -> dict[str, Any]:
    """Return what freezing did, with what is assumed now instead of what was then."""
    was = assumption(source.name, source.preprocessing, source.basis)
    now = assumption(source.name, found, basis)
    warnings = [text for text in source.report.get("warnings", []) if text != was]
    return {**source.report, "warnings": warnings if now is None else [*warnings, now]}


def _check_labels(source: Manifest, labels: Sequence[str] | None) -> None:
    """Raise `InvalidRequestError` where there are more or fewer labels than scores."""
    columns = _columns(source)
    if labels is None or columns is None:
        return
    count = len(labels)
    if count != columns and not (columns == 1 and count == 2):
        raise InvalidRequestError(
            f"labels: {count} were given, but {source.name}@{source.version} has {columns} "
            "scores per image."
        )


def _columns(source: Manifest) -> int | None:
    """Return how many scores an image has; None where that is not known."""
    shape = source.outputs[0].shape
    sides = None if shape is None else [side for side in shape[1:] if side is not None]
    if shape is not None and sides is not None and len(sides) == len(shape) - 1:
        return math.prod(sides)
    return None if source.labels is None or len(source.labels) == 2 else len(source.labels)

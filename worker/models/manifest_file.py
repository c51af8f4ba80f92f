"""The manifest's file in a registry, written by this Permafrost, an older or a newer one.

Fields that a newer program added are ignored unless answers depend on them. All that answers depend
on goes into the manifest's digest, which stands in the file: a program that computes another digest
lacks something. Changes that the digest does not show have a higher number of the format.
"""

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from worker.errors import ModelUnavailableError
from worker.models.basis import Alternative, Basis
from worker.models.manifest import FORMAT, Manifest

_CHOICES = {"literal_error", "enum"}  # as pydantic calls a word that is none of those it knows
_Part = TypeVar("_Part", bound=BaseModel)
_LONGEST_SHOWN = 80  # characters of such a word


def written(manifest: Manifest) -> bytes:
    """Return what stands in the file."""
    fields = {**manifest.model_dump(mode="json"), "digest": manifest.digest}
    return json.dumps(fields, indent=1, ensure_ascii=False).encode()


def read(raw: bytes, called: str) -> Manifest:
    """Return what the file of a version, `NAME@VERSION`, says.

    Raises `ValueError` where it is damaged, and `ModelUnavailableError` where it says what this
    program does not know.
    """
    fields = json.loads(raw)
    if not isinstance(fields, dict):
        raise ValueError("a manifest is an object")
    number = fields.get("format", 1)
    if isinstance(number, int) and number > FORMAT:
        raise _newer(called, f"its manifest has the format {number}, and this one knows {FORMAT}")
    try:
        manifest = Manifest.model_validate({**fields, "basis": _basis(fields.get("basis"))})
    except ValidationError as error:
        for one in error.errors():
            if one["type"] in _CHOICES and isinstance(one["input"], str):
                where = ".".join(str(part) for part in one["loc"])
                word = one["input"][:_LONGEST_SHOWN]
                raise _newer(called, f"this one does not know the {where} '{word}'") from error
        raise
    if fields.get("digest", manifest.digest) != manifest.digest:
        raise ModelUnavailableError(
            f"{called} is not used, because its answers hang on more than this Permafrost knows: "
            "a newer one published it (upgrade this installation), or its manifest was changed by "
            "hand (publish it anew)."
        )
    return manifest


def _newer(called: str, why: str) -> ModelUnavailableError:
    return ModelUnavailableError(
        f"{called} was published by a newer Permafrost: {why}. Upgrade this installation, or move "
        "its alias to another version."
    )


def _basis(given: Any) -> Basis | None:
    """Return what the preprocessing rests on, as far as this program understands it."""
    if not isinstance(given, dict):
        return None
    listed = given.get("alternatives")
    others = [_read(Alternative, one) for one in listed] if isinstance(listed, list) else []
    return _read(Basis, {**given, "alternatives": [one for one in others if one is not None]})


def _read(kind: type[_Part], given: Any) -> _Part | None:
    try:
        return kind.model_validate(given)
    except ValidationError:
        return None

"""What a Keras model's configuration would run: read as JSON, before Keras sees any of it.

A configuration names classes and functions by module and name, and may hold Python byte code. What
`keras_schema` knows is written anew, and Keras gets that; the rest is named and refused.
"""

import json
from typing import Any

from freezing.sources.keras_schema.rebuild import rebuild
from freezing.sources.keras_schema.violations import SchemaViolation
from worker.errors import SourceError

_MOST_SHOWN = 3


class UnsafeSourceError(SourceError):
    """The source would bring code of its own, which is not allowed here."""

    code = "unsafe_source"


def parse_config(text: str | bytes, name: str) -> dict[str, Any]:
    """Return the configuration as JSON; raise `SourceError` where it is none."""
    try:
        config = json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise SourceError(f"The configuration of '{name}' is nested too deeply.") from None
    except _TwiceError as error:
        raise SourceError(
            f"The configuration of '{name}' has the key '{error}' twice in one object: it is "
            "damaged or made by hand. Save the model again."
        ) from None
    except (ValueError, UnicodeDecodeError) as error:
        raise SourceError(
            f"The configuration in '{name}' is not JSON: the file is damaged ({error})."
        ) from error
    if not isinstance(config, dict) or "class_name" not in config:
        raise SourceError(f"The configuration in '{name}' describes no Keras model.")
    return config


def clean_config(
    config: Any, name: str, *, allowed: bool, version: str = ""
) -> tuple[Any, list[SchemaViolation]]:
    """Return the configuration as Keras may have it, and what of it is not Keras's own.

    Raises `UnsafeSourceError` where something is not, unless `allowed`, the operator's setting;
    what reaches for other files or calls by name is refused always. `name` is of the file,
    `version` the Keras that wrote it; `SourceError` says what reads one of Keras 1.
    """
    cleaned, found = rebuild(config)
    refused = [finding for finding in found if not (allowed and finding.allowed)]
    if version.startswith("1.") and refused and all(one.unknown_field for one in refused):
        raise too_old(name, version, refused[0].what)
    if refused:
        shown = "; ".join(finding.what for finding in refused[:_MOST_SHOWN])
        more = f"; and {len(refused) - _MOST_SHOWN} more" if len(refused) > _MOST_SHOWN else ""
        advice = (
            "An operator who trusts the file can allow it with PERMAFROST_ALLOW_KERAS_CODE=true; "
            "or export the model where it was trained, with model.export(FOLDER), and freeze the "
            "SavedModel, which needs no code."
            if all(finding.allowed for finding in refused)
            else "Export the model where it was trained, with model.export(FOLDER), and freeze "
            "the SavedModel."
        )
        raise UnsafeSourceError(
            f"'{name}' is not loaded, because not all of it is known to be Keras's own and "
            f"harmless: {shown}{more}. {advice}"
        )
    return cleaned, found


def too_old(name: str, version: str, why: str) -> SourceError:
    """Return the refusal of a file of Keras 1."""
    return SourceError(
        f"'{name}' was written by Keras {version}, whose layers later ones do not know ({why}). "
        "Load it with a Keras from 2.0 to 2.2, which still does, and save it again with "
        "model.save('model.h5')."
    )


class _TwiceError(ValueError):
    """A key stands twice in one object of JSON."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _TwiceError(next(key for key in keys if keys.count(key) > 1)[:60])
    return found

"""The part of a source that is meant, where it holds several."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class SourceChoice:
    """What a person said about a source, and what may be seen of its surroundings."""

    signature: str | None = None  # of a SavedModel
    checkpoint: str | None = None  # the prefix of a checkpoint, or the name of a model file
    allow_code: bool = False  # whether a Keras file may bring code of its own
    # Folders and files in which labels are searched; None: anywhere.
    reach: Sequence[Path] | None = None


ANY = SourceChoice()  # nothing in particular is meant

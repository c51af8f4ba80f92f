"""Which paths a process must be able to read to have a source. Imports no TensorFlow."""

import os
from collections.abc import Sequence
from pathlib import Path

from worker.sources.label_files import MOST_FOUND, may_hold_labels
from worker.sources.listing import files_in
from worker.sources.places import saved_model_file

_MOST_ENTRIES = 20_000  # of the source's folder that are looked at


def within_reach(source: Path, roots: Sequence[Path]) -> list[Path]:
    """Return the source's folder, and where links in it lead that stay under one of the roots.

    Of a file or a checkpoint's prefix, it is the folder that it lies in.
    """
    known = [root.resolve() for root in roots]
    found = [(source if source.is_dir() else source.parent).resolve()]
    seen = 0
    for folder in found:  # which grows meanwhile
        for place, folders, files in os.walk(folder):
            seen += len(folders) + len(files)
            if seen > _MOST_ENTRIES:
                return found
            for name in (*folders, *files):
                path = Path(place, name)
                if not path.is_symlink():
                    continue
                target = path.resolve()
                inside = any(target.is_relative_to(root) for root in known)
                if inside and not any(target.is_relative_to(path) for path in found):
                    found.append(target)
    return found


def labels_around(source: Path, roots: Sequence[Path]) -> list[Path]:
    """Return files around a SavedModel's folder that may hold its labels and lie under a root."""
    stored = saved_model_file(source)
    if stored is None:
        return []
    known = [root.resolve() for root in roots]
    beside = [file for file in files_in(stored.parent.parent) if may_hold_labels(file)]
    found = [file.resolve() for file in beside[:MOST_FOUND]]
    return [file for file in found if any(file.is_relative_to(root) for root in known)]

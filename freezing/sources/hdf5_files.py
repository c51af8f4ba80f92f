"""HDF5 files as Keras writes them: attributes, and nothing that leads out of the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py

from freezing.running.reasons import reason
from freezing.sources.keras_audit import UnsafeSourceError
from worker.errors import SourceError
from worker.formatting import binary_size

MAGIC = b"\x89HDF\r\n\x1a\n"
_MOST_OBJECTS = 200_000
_MOST_BYTES = 8 * 2**30  # of all arrays together, as the file says before any is read
_MOST_TEXT = 64 * 2**20  # of one attribute, in bytes
_TRAINING = frozenset({"optimizer_weights", "optimizer"})


@contextmanager
def opened(file: Path, name: str) -> Iterator[Any]:
    """Open an HDF5 file for reading; raise `SourceError` where it is damaged.

    `UnsafeSourceError` is raised where it refers to other files, before anything is read.
    """
    try:
        root = h5py.File(file, "r")
    except (OSError, ValueError, RuntimeError) as error:
        raise SourceError(
            f"'{name}' cannot be read as an HDF5 file: it is damaged or incomplete "
            f"({reason(error)})."
        ) from error
    with root:
        try:
            _check(root, name)
            yield root
        except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
            raise SourceError(
                f"'{name}' cannot be read as an HDF5 file: it is damaged ({reason(error)})."
            ) from error


def text(root: Any, attribute: str) -> str | None:
    """Return an attribute of the file as text; None where there is none."""
    if attribute not in root.attrs:
        return None
    kept = root.attrs.get_id(attribute)
    if kept.get_storage_size() > _MOST_TEXT:
        raise SourceError(f"The attribute '{attribute}' of the HDF5 file is too large.")
    value = root.attrs[attribute]
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else None


def names(root: Any, attribute: str) -> list[str] | None:
    """Return an attribute that holds several texts; None where there is none such."""
    value = root.attrs.get(attribute)
    if value is None or getattr(value, "ndim", 0) != 1 or value.dtype.kind not in "OSU":
        return None
    return [one.decode("utf-8", "replace") if isinstance(one, bytes) else str(one) for one in value]


def _check(root: Any, name: str) -> None:
    waiting = [root]
    seen: set[Any] = set()
    size = 0
    while waiting:
        group = waiting.pop()
        for key in group:
            path = f"{group.name.rstrip('/')}/{key}"
            link = group.get(key, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                raise UnsafeSourceError(
                    f"'{name}' takes '{path}' from another file ('{link.filename}'), which is not "
                    "followed: save the whole model into one file."
                )
            if isinstance(link, h5py.SoftLink):
                continue  # what it leads to is found under its own name, or is not there
            child = group[key]
            address = h5py.h5o.get_info(child.id).addr
            if address in seen:
                continue
            seen.add(address)
            if len(seen) > _MOST_OBJECTS:
                raise SourceError(f"'{name}' holds more than {_MOST_OBJECTS} arrays and groups.")
            if isinstance(child, h5py.Group):
                waiting.append(child)
            elif isinstance(child, h5py.Dataset):
                if child.is_virtual or child.external:
                    raise UnsafeSourceError(
                        f"'{name}' keeps the array '{path}' in another file, which is not read: "
                        "save the whole model into one file."
                    )
                if path.split("/")[1] not in _TRAINING:
                    size += child.nbytes
    if size > _MOST_BYTES:
        raise SourceError(
            f"'{name}' says that its arrays need {binary_size(size)}; a .pb file can hold 2 GiB."
        )

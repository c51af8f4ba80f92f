"""`.keras` files: zip archives of a configuration, weights and assets, and folders of the same."""

import json
import zipfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

from worker.errors import SourceError

CONFIG_FILE = "config.json"
METADATA_FILE = "metadata.json"
WEIGHTS_FILES = ("model.weights.h5", "model.weights.npz")
_ASSETS = "assets"
_MOST_TEXT = 64 * 2**20  # of a file of JSON, in bytes
_MOST_MEMBERS = 10_000
_MOST_BYTES = 8 * 2**30  # of all members, as the archive says before any is unpacked
_METHODS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_CHUNK_BYTES = 1 << 20
# What zipfile and the decompressor below it raise on damaged archives.
_DAMAGE = (
    *(zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError),
    *(ValueError, OverflowError),
)


def unpack(path: Path, folder: Path) -> None:
    """Unpack what of the archive belongs to a model, and nothing else of it, into `folder`.

    Raises `SourceError` where it is damaged, too large or not whole.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > _MOST_MEMBERS or sum(m.file_size for m in members) > _MOST_BYTES:
                raise SourceError(f"'{path.name}' is too large for a .keras file once unpacked.")
            if any(member.compress_type not in _METHODS for member in members):
                # The others are not bounded by how much is read of them.
                raise SourceError(
                    f"'{path.name}' is packed in a way that Keras does not write: save it again "
                    "with model.save('model.keras')."
                )
            for member in members:
                if _belongs(member.filename):
                    _unpack_one(archive, member, folder / member.filename)
    except _DAMAGE as error:
        raise SourceError(f"'{path.name}' is a damaged or incomplete .keras file.") from error


def pack(folder: Path, path: Path) -> None:
    """Write a folder's files as a `.keras` file, as Keras 2 reads them."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))


def weights_of(folder: Path, name: str) -> Path:
    """Return the weights in an unpacked `.keras` file; `name` is what the person called it.

    Raises `SourceError` where it is not whole.
    """
    weights = next((folder / one for one in WEIGHTS_FILES if (folder / one).is_file()), None)
    if weights is None or not (folder / CONFIG_FILE).is_file():
        missing = WEIGHTS_FILES[0] if weights is None else CONFIG_FILE
        raise SourceError(
            f"'{name}' is not a whole .keras file: there is no '{missing}' in it. Save the model "
            "with model.save('model.keras')."
        )
    return weights


def config_of(folder: Path, name: str) -> bytes:
    """Return the text of the model's configuration."""
    return _text(folder / CONFIG_FILE, name)


def metadata_of(folder: Path, name: str) -> dict[str, Any]:
    """Return what the file says about itself: the Keras that wrote it and when."""
    file = folder / METADATA_FILE
    try:
        metadata = json.loads(_text(file, name)) if file.is_file() else {}
    except (ValueError, RecursionError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _belongs(name: str) -> bool:
    parts = PurePosixPath(name).parts
    if name in (CONFIG_FILE, METADATA_FILE, *WEIGHTS_FILES):
        return True
    return len(parts) > 1 and parts[0] == _ASSETS and ".." not in parts and not name.endswith("/")


def _unpack_one(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, path.open("wb") as target:
        while chunk := source.read(_CHUNK_BYTES):
            target.write(chunk)


def _text(file: Path, name: str) -> bytes:
    if file.stat().st_size > _MOST_TEXT:
        raise SourceError(f"'{file.name}' in '{name}' is too large.")
    return file.read_bytes()

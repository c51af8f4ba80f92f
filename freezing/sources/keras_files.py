"""Keras model files: `.keras` (Keras 3, late Keras 2) and HDF5 (every Keras), told by content.

Before Keras sees anything of a file it is looked through: code of its own and ways out of the file
are refused. Then the model is loaded without what only training needs, and traced.
"""

import json
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

from freezing.sources import hdf5_files
from freezing.sources.contents import Content, sniff
from freezing.sources.keras_audit import (
    Finding,
    parse_config,
    refuse_code,
    without_training,
)
from freezing.sources.keras_loading import load_and_trace
from freezing.sources.source import Choice, Source
from worker.errors import SourceError

CONFIG_FILE = "config.json"
METADATA_FILE = "metadata.json"
_WEIGHTS_FILES = ("model.weights.h5", "model.weights.npz")
_MOST_CONFIG_BYTES = 64 * 2**20
_MOST_MEMBERS = 10_000
_MOST_BYTES = 8 * 2**30
_LABEL_KEYS = ("class_names", "labels", "classes", "class_labels", "categories")
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError)


def open_keras(path: Path, choice: Choice) -> Source:
    """Open a Keras model file, or the weights of a `.keras` file that was unpacked to a folder.

    Raises `SourceError` saying why it cannot be loaded and `UnsafeSourceError` naming what of it
    would run code.
    """
    with tempfile.TemporaryDirectory(prefix="keras-") as folder:
        if path.name in _WEIGHTS_FILES and (path.parent / CONFIG_FILE).is_file():
            return _open_folder(path.parent, Path(folder), choice)
        if sniff(path) is Content.HDF5:
            return _open_hdf5(path, Path(folder), choice)
        return _open_zip(path, Path(folder), choice)


def _open_hdf5(path: Path, folder: Path, choice: Choice) -> Source:
    with hdf5_files.opened(path, path.name) as root:
        stored = hdf5_files.text(root, "model_config")
        if stored is None:
            raise _no_model(path, root)
        config = parse_config(stored, path.name)
        version = hdf5_files.text(root, "keras_version") or ""
        labels = _labels_of(root)
    found = refuse_code(config, path.name, allowed=choice.allow_code)
    # Keras tells formats by suffix; the file may be called anything.
    link = folder / "model.h5"
    link.symlink_to(path.absolute())
    return _source(path, link, version, found, labels=labels, files=(path,))


def _open_zip(path: Path, folder: Path, choice: Choice) -> Source:
    try:
        with zipfile.ZipFile(path) as archive:
            weights = _weights_in(archive, path.name)
            config = parse_config(_small(archive, CONFIG_FILE, path.name), path.name)
            metadata = _metadata(archive, path.name)
            found = refuse_code(config, path.name, allowed=choice.allow_code)
            copy = _copied(archive, config, weights, folder / "model.keras")
    except _DAMAGE as error:
        raise SourceError(f"'{path.name}' is a damaged or incomplete .keras file.") from error
    _check_weights(copy, weights, path.name)
    labels = _labels_in(metadata) or _labels_in(config.get("config"))
    version = str(metadata.get("keras_version") or "")
    return _source(path, copy, version, found, labels=labels, files=(path,))


def _open_folder(path: Path, folder: Path, choice: Choice) -> Source:
    """Open an unpacked `.keras` file by packing it again."""
    packed = folder / "packed.keras"
    names = [CONFIG_FILE, METADATA_FILE, *_WEIGHTS_FILES]
    files = tuple(path / name for name in names if (path / name).is_file())
    with zipfile.ZipFile(packed, "w") as archive:
        for file in files:
            archive.write(file, file.name)
    inner = folder / "inner"
    inner.mkdir()
    source = _open_zip(packed, inner, choice)
    return Source(
        kind=source.kind,
        name=path.name,
        graph_def=source.graph_def,
        values=source.values,
        files=files,
        producer=source.producer,
        signatures=source.signatures,
        labels=source.labels,
        warnings=source.warnings,
    )


def _source(
    path: Path,
    copy: Path,
    version: str,
    found: list[Finding],
    *,
    labels: list[str] | None,
    files: tuple[Path, ...],
) -> Source:
    traced = load_and_trace(
        copy, path.name, version, safe=not any(finding.marshalled for finding in found)
    )
    warnings = []
    if found:
        shown = "; ".join(finding.what for finding in found)
        warnings.append(f"Code that is not Keras's own was run, as the operator allows: {shown}.")
    return Source(
        kind="keras",
        name=path.name,
        graph_def=traced.graph_def,
        values=traced.values,
        files=files,
        producer=f"Keras {version}" if version else "",
        signatures=(traced.signature,),
        labels=labels,
        warnings=warnings,
    )


# -- HDF5 ---------------------------------------------------------------------------------------


def _no_model(path: Path, root: Any) -> SourceError:
    keys = set(root)
    if "layer_names" in root.attrs or keys & {"layers", "_layer_checkpoint_dependencies", "vars"}:
        return SourceError(
            f"'{path.name}' holds only the weights of a Keras model and not its layers: save the "
            "whole model with model.save('model.keras'), not with save_weights, and freeze that."
        )
    return SourceError(
        f"'{path.name}' is an HDF5 file without a Keras model (it has no 'model_config')."
    )


def _labels_of(root: Any) -> list[str] | None:
    for key in _LABEL_KEYS:
        found = hdf5_files.names(root, key)
        if found is None:
            try:
                found = _texts(json.loads(hdf5_files.text(root, key) or "null"))
            except ValueError:
                found = None
        if found:
            return found
    return None


# -- .keras -------------------------------------------------------------------------------------


def _weights_in(archive: zipfile.ZipFile, name: str) -> str:
    """Return the member that holds the weights; refuse archives that are no Keras file."""
    members = archive.infolist()
    if len(members) > _MOST_MEMBERS or sum(one.file_size for one in members) > _MOST_BYTES:
        raise SourceError(f"'{name}' is too large for a .keras file once it is unpacked.")
    there = {one.filename for one in members}
    weights = next((one for one in _WEIGHTS_FILES if one in there), None)
    if CONFIG_FILE not in there or weights is None:
        missing = CONFIG_FILE if CONFIG_FILE not in there else _WEIGHTS_FILES[0]
        raise SourceError(
            f"'{name}' is not a whole .keras file: there is no '{missing}' in it. Save the model "
            "with model.save('model.keras')."
        )
    return weights


def _small(archive: zipfile.ZipFile, member: str, name: str) -> bytes:
    if archive.getinfo(member).file_size > _MOST_CONFIG_BYTES:
        raise SourceError(f"'{member}' in '{name}' is too large.")
    return archive.read(member)


def _metadata(archive: zipfile.ZipFile, name: str) -> dict[str, Any]:
    if METADATA_FILE not in archive.namelist():
        return {}
    try:
        metadata = json.loads(_small(archive, METADATA_FILE, name))
    except (ValueError, RecursionError):
        return {}
    return metadata if isinstance(metadata, dict) else {}


def _copied(archive: zipfile.ZipFile, config: Any, weights: str, path: Path) -> Path:
    """Write what loading needs, and nothing else of the archive, as a `.keras` file.

    What only training needs is left out: inner models would be compiled, with losses and
    optimizers that may be the model's own.
    """
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as copy:
        copy.writestr(CONFIG_FILE, json.dumps(without_training(config)))
        if METADATA_FILE in archive.namelist():
            copy.writestr(METADATA_FILE, archive.read(METADATA_FILE))
        with archive.open(weights) as source, copy.open(weights, "w", force_zip64=True) as target:
            while chunk := source.read(1 << 20):
                target.write(chunk)
    return path


def _check_weights(path: Path, weights: str, name: str) -> None:
    if not weights.endswith(".h5"):
        return  # numpy's arrays, which are read without pickles
    with (
        zipfile.ZipFile(path) as archive,
        archive.open(weights) as file,
        hdf5_files.opened(file, f"{name}/{weights}"),  # type: ignore[arg-type]  # is seekable
    ):
        pass


# -- labels -------------------------------------------------------------------------------------


def _labels_in(value: Any) -> list[str] | None:
    if not isinstance(value, dict):
        return None
    return next((found for key in _LABEL_KEYS if (found := _texts(value.get(key)))), None)


def _texts(value: Any) -> list[str] | None:
    """Return a list of texts, also where it is a dictionary from numbers or to numbers."""
    if isinstance(value, dict) and value:
        if all(isinstance(one, int) for one in value.values()):
            value = sorted(value, key=value.__getitem__)
        elif all(str(key).isdigit() for key in value):
            value = [value[key] for key in sorted(value, key=int)]
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return value
    return None

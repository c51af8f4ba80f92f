"""Keras model files: `.keras` (Keras 3, late Keras 2) and HDF5 (every Keras), told by content.

Before Keras sees anything of a file it is looked through: code of its own and ways out of the file
are refused. Keras gets a configuration that was written anew, without what only training needs, and
the weights; then the model is traced.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from freezing.sources import hdf5_files
from freezing.sources.keras_archives import (
    CONFIG_FILE,
    METADATA_FILE,
    WEIGHTS_FILES,
    config_of,
    metadata_of,
    unpack,
    weights_of,
)
from freezing.sources.keras_audit import clean_config, parse_config
from freezing.sources.keras_kernels import check_theano
from freezing.sources.keras_loading import KerasFile, load_and_trace
from freezing.sources.keras_schema.violations import SchemaViolation
from freezing.sources.losses import loss_in, loss_in_text
from freezing.sources.source import Loss, Source
from worker.errors import SourceError
from worker.models.label_forms import LABEL_KEYS, labels_in_json
from worker.sources.architecture import architecture_beside
from worker.sources.choice import SourceChoice
from worker.sources.contents import FileContent, sniff

_THEANO = "theano"
_TURNED = (
    "The file was written with Keras's Theano backend, which stores the kernels of convolutions "
    "turned around: they were turned as Keras 2 did at loading. Where padding is not the same on "
    "all sides, Theano and TensorFlow pad on different ones: compare the answers to some images."
)


_USE_EMA = (
    "The model was trained with moving averages of its weights (`use_ema`). Keras puts them in the "
    "place of the weights when fit() ends; of a file that was saved before that, the last weights "
    "were taken. To have the averages, call model.optimizer.finalize_variable_values("
    "model.trainable_variables) and save it again."
)


def open_keras(path: Path, choice: SourceChoice) -> Source:
    """Open a Keras model file, or the weights of a `.keras` file that was unpacked to a folder.

    Raises `SourceError` saying why it cannot be loaded and `UnsafeSourceError` naming what of it
    would run code.
    """
    with tempfile.TemporaryDirectory(prefix="keras-") as folder:
        work = Path(folder)
        if path.name in WEIGHTS_FILES and (path.parent / CONFIG_FILE).is_file():
            names = (CONFIG_FILE, METADATA_FILE, path.name)
            files = tuple(file for name in names if (file := path.parent / name).is_file())
            return _open_parts(path.parent, path.parent, files, work, choice)
        if sniff(path) is FileContent.HDF5:
            return _open_hdf5(path, work, choice)
        parts = work / "parts"
        parts.mkdir()
        unpack(path, parts)
        return _open_parts(parts, path, (path,), work, choice)


def _open_hdf5(path: Path, work: Path, choice: SourceChoice) -> Source:
    with hdf5_files.opened(path, path.name) as root:
        stored = hdf5_files.text(root, "model_config")
        version = hdf5_files.text(root, "keras_version") or ""
        backend = _backend_of(root)
        labels = _labels_of(root)
        training = hdf5_files.text(root, "training_config")
        loss = loss_in_text(training)
        old_weights = "layer_names" in root.attrs
        refusal = _no_model(path, root)
    if stored is not None:
        config, found = clean_config(
            parse_config(stored, path.name),
            path.name,
            allowed=choice.allow_code,
            version=_text(version),
        )
        # Keras tells formats by suffix; the file may be called anything.
        link = work / "model.h5"
        files: tuple[Path, ...] = (path,)
    else:
        architecture = architecture_beside(path)
        if architecture is None:
            raise refusal
        raw = parse_config(architecture.read_bytes(), architecture.name)
        config, found = clean_config(raw, architecture.name, allowed=choice.allow_code)
        link = work / ("model.h5" if old_weights else "model.weights.h5")
        version = version or _text(raw.get("keras_version"))
        backend = backend or _text(raw.get("backend"))
        files = (architecture, path)
    turned = backend == _THEANO
    if turned:
        check_theano(config, path.name, _text(version))
    link.symlink_to(path.absolute())
    averages = _averages_in(training, "optimizer_config")
    file = KerasFile(
        name=path.name,
        version=version,
        weights=link,
        config=json.dumps(config),
        is_hdf5=stored is not None,
        safe=_is_safe(found),
        turned=turned,
    )
    source = _source(path, file, found, labels=labels, loss=loss, files=files, averages=averages)
    if turned:
        source.warnings.append(_TURNED)
    return source


def _open_parts(
    parts: Path, path: Path, files: tuple[Path, ...], work: Path, choice: SourceChoice
) -> Source:
    """Open the parts of a `.keras` file, which is called `path`."""
    weights = weights_of(parts, path.name)
    raw = parse_config(config_of(parts, path.name), path.name)
    metadata = metadata_of(parts, path.name)
    config, found = clean_config(raw, path.name, allowed=choice.allow_code)
    if weights.suffix == ".h5":
        with hdf5_files.opened(weights, f"{path.name}/{weights.name}"):
            pass  # it has been looked through
    version = _text(metadata.get("keras_version"))
    model = work / "model"
    model.mkdir()
    (model / CONFIG_FILE).write_text(json.dumps(config))
    (model / METADATA_FILE).write_text(json.dumps({"keras_version": version, "date_saved": ""}))
    for name in (weights.name, "assets"):
        if (parts / name).exists():
            (model / name).symlink_to((parts / name).absolute())
    labels = _labels_in(metadata) or _labels_in(raw.get("config"))
    averages = _averages_in(json.dumps(raw.get("compile_config")), "optimizer")
    file = KerasFile(
        name=path.name,
        version=version,
        weights=model,
        config="",
        is_hdf5=False,
        safe=_is_safe(found),
    )
    loss = loss_in(raw.get("compile_config"))
    return _source(path, file, found, labels=labels, loss=loss, files=files, averages=averages)


def _source(
    path: Path,
    file: KerasFile,
    found: list[SchemaViolation],
    *,
    labels: list[str] | None,
    loss: Loss | None,
    files: tuple[Path, ...],
    averages: bool,
) -> Source:
    traced = load_and_trace(file)
    warnings = []
    if found:
        shown = "; ".join(finding.what for finding in found)
        warnings.append(f"Code that is not Keras's own was run, as the operator allows: {shown}.")
    if averages:
        warnings.append(_USE_EMA)
    return Source(
        kind="keras",
        name=path.name,
        graph_def=traced.graph_def,
        values=traced.values,
        files=files,
        producer=f"Keras {file.version}" if file.version else "",
        signatures=(traced.signature,),
        labels=labels,
        loss=loss,
        warnings=warnings,
    )


def _is_safe(found: list[SchemaViolation]) -> bool:
    return not any(finding.marshalled for finding in found)


def _text(value: object) -> str:
    """Return which Keras a file says that wrote it, where it says so."""
    return value if isinstance(value, str) and value.isprintable() and len(value) < 40 else ""


def _averages_in(training: str | None, optimizer: str) -> bool:
    """Whether a file says that its optimizer keeps moving averages of the weights."""
    try:
        found = json.loads(training or "null")
        for name in (optimizer, "config"):
            found = found[name]
        return found["use_ema"] is True
    except (ValueError, TypeError, KeyError, RecursionError):
        return False


# -- HDF5 ---------------------------------------------------------------------------------------


def _no_model(path: Path, root: Any) -> SourceError:
    keys = set(root)
    if "layer_names" in root.attrs or keys & {"layers", "_layer_checkpoint_dependencies", "vars"}:
        return SourceError(
            f"'{path.name}' holds only the weights of a Keras model and not its layers: save the "
            "whole model with model.save('model.keras'), not with save_weights, and freeze that; "
            "or put the layers beside it, in a file that model.to_json() gives."
        )
    return SourceError(
        f"'{path.name}' is an HDF5 file without a Keras model (it has no 'model_config')."
    )


def _backend_of(root: Any) -> str:
    """Return which backend of Keras wrote the file, where it says so."""
    weights = root.get("model_weights", root)
    return next(
        (found for one in (root, weights) if (found := hdf5_files.text(one, "backend"))), ""
    )


def _labels_of(root: Any) -> list[str] | None:
    for key in LABEL_KEYS:
        found = hdf5_files.names(root, key)
        if found is None:
            try:
                found = labels_in_json(json.loads(hdf5_files.text(root, key) or "null"))
            except ValueError:
                found = None
        if found:
            return found
    return None


# -- labels -------------------------------------------------------------------------------------


def _labels_in(value: Any) -> list[str] | None:
    if not isinstance(value, dict):
        return None
    return next((found for key in LABEL_KEYS if (found := labels_in_json(value.get(key)))), None)

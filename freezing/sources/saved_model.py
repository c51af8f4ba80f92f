"""A SavedModel of TensorFlow 1: meta graphs with tags and signatures, and a folder `variables`.

Format: tensorflow/core/protobuf/saved_model.proto and meta_graph.proto.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from freezing.graph.graph import VARIABLE_OPS, Graph
from freezing.graph.names import nearest
from freezing.sources.checkpoint_values import CheckpointValues
from freezing.sources.graph_files import from_meta_graph, parse_message
from freezing.sources.graph_source import NoValues
from freezing.sources.lookup_tables import assets_beside, read_tables
from freezing.sources.restore import restored_entries
from freezing.sources.source import Signature, Source, Values
from worker.errors import SourceError
from worker.sources.checkpoint_files import CheckpointData, locate_data
from worker.sources.choice import SourceChoice
from worker.sources.locate import variables_prefix

_SERVE = "serve"
_USUAL = "serving_default"
_OLD_USUAL = "default"  # what Session Bundles called it
_INTERNAL = "__saved_model"  # how the names of signatures that are none begin
_ASSETS = "saved_model_assets"
_OLD_INIT = "legacy_init_op"


class UnknownSignatureError(SourceError):
    """The signature that was named is not in the source."""

    code = "unknown_signature"


def read_saved_model(file: Path) -> Any:
    """Return the SavedModel protocol buffer; raise `SourceError` where it cannot be read."""
    message = saved_model_pb2.SavedModel()
    parse_message(file, message, "a SavedModel")
    if not message.meta_graphs:
        raise SourceError(f"'{file.name}' holds no graph: it is empty or not a SavedModel.")
    return message


def is_of_tensorflow_2(message: Any) -> bool:
    """Whether functions and objects make up the SavedModel, and not graphs alone."""
    return len(message.meta_graphs) == 1 and bool(message.meta_graphs[0].object_graph_def.nodes)


def open_saved_model(file: Path, message: Any, choice: SourceChoice) -> Source:
    """Open the SavedModel `message`, which was read from `file`.

    Of several meta graphs the one tagged `serve` is taken. Raises `SourceError` where files are
    missing, and `UnknownSignatureError` where the chosen signature is not there.
    """
    warnings: list[str] = []
    meta = _meta_graph(message.meta_graphs, choice, warnings)
    stored = from_meta_graph(file, meta)
    found = signatures(meta)
    if choice.signature is not None and choice.signature not in [one.name for one in found]:
        raise _unknown_signature(file, choice.signature, found)
    values, files = _values(file, stored.graph_def, stored.saver_scope, warnings)
    read_entry = values.tensor if isinstance(values, CheckpointValues) else None
    return Source(
        kind="saved_model",
        name=file.parent.name,
        graph_def=stored.graph_def,
        values=values,
        files=(file, *files),
        producer=stored.producer,
        op_list=stored.op_list,
        signatures=found,
        tables=read_tables(Graph(stored.graph_def), assets_of(file, meta), read_entry),
        warnings=warnings,
    )


def signatures(meta: Any) -> tuple[Signature, ...]:
    """Return the meta graph's signatures, the usual one first, then by name."""
    found = []
    for name, definition in meta.signature_def.items():
        if name.startswith(_INTERNAL) or name == _OLD_INIT:
            continue
        found.append(
            Signature(
                name=name,
                method=definition.method_name,
                inputs=_tensors(definition.inputs),
                outputs=_tensors(definition.outputs),
            )
        )
    usual = {_USUAL: 0, _OLD_USUAL: 1}
    return tuple(sorted(found, key=lambda one: (usual.get(one.name, 2), one.name)))


def assets_of(file: Path, meta: Any) -> Callable[[str, str], Path | None]:
    """Return a function that finds the SavedModel's assets, for `read_tables`."""
    named = {}
    for stored in (
        meta.collection_def[_ASSETS].any_list.value if _ASSETS in meta.collection_def else ()
    ):
        asset = meta_graph_pb2.AssetFileDef()
        asset.ParseFromString(stored.value)
        named[asset.tensor_info.name] = asset.filename
    for asset in meta.asset_file_def:
        named[asset.tensor_info.name] = asset.filename
    return assets_beside(file.parent, named)


def _tensors(infos: Any) -> dict[str, str]:
    """Return the dense tensors by the signature's names; sparse ones are no images or scores."""
    return {
        key: infos[key].name for key in sorted(infos) if infos[key].WhichOneof("encoding") == "name"
    }


def _meta_graph(metas: Sequence[Any], choice: SourceChoice, warnings: list[str]) -> Any:
    """Return the meta graph that serves: by tag, then by the signature that was named."""
    serving = [meta for meta in metas if _SERVE in meta.meta_info_def.tags] or list(metas)
    if choice.signature is not None:
        serving = [meta for meta in serving if choice.signature in meta.signature_def] or serving
    # Beside the plain one there may be one for other hardware: {serve, gpu}, {serve, tpu}.
    chosen = min(serving, key=lambda meta: len(meta.meta_info_def.tags))
    if len(metas) > 1:
        tags = ", ".join(sorted(chosen.meta_info_def.tags))
        which = f"for {tags}" if tags else "without tags"
        warnings.append(
            f"Of {len(metas)} graphs in the SavedModel the one {which} was used. If another is "
            "meant, name a signature that only that one has, with `signature` (--signature)."
        )
    return chosen


def _values(
    file: Path, graph_def: Any, saver_scope: str, warnings: list[str]
) -> tuple[Values, tuple[Path, ...]]:
    prefix = variables_prefix(file)
    if not any(node.op in VARIABLE_OPS for node in graph_def.node):
        return NoValues(file.name), ()
    if prefix is None:  # told before, where the file is looked at
        return NoValues(file.name), ()
    data: CheckpointData = locate_data(prefix, warnings)
    entries = restored_entries(Graph(graph_def), saver_scope)
    return CheckpointValues(data, entries), data.all


def _unknown_signature(file: Path, name: str, found: Sequence[Signature]) -> UnknownSignatureError:
    names = [one.name for one in found]
    close = nearest(name, names) or names
    there = f"There are: {', '.join(close)}." if close else "It has none."
    return UnknownSignatureError(f"'{file.parent.name}' has no signature '{name[:200]}'. {there}")

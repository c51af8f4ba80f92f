"""A TensorFlow 1 checkpoint in the V2 format: `.meta`, `.index` and `.data-*` files.

Only the graph and the entries are read. The meta graph's collections, its saver and its devices
belong to the machine that trained, and are not relied on.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy.typing as npt
import tensorflow as tf
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # has no stubs

from freezing.attributes import strip_places
from freezing.graphs import Graph
from freezing.names import nearest
from freezing.reasons import reason
from freezing.sources.checkpoint_files import CheckpointFiles, locate, recognises
from freezing.sources.restore import Entry, parse_slice, restored_entries
from freezing.sources.source import Source, Value
from worker.errors import SourceError

__all__ = ["open_checkpoint", "recognises"]

# How TensorFlow's readers fail on files that are damaged, not there, or not theirs.
_READ_ERRORS = (tf.errors.OpError, RuntimeError, ValueError, LookupError, OSError)


def open_checkpoint(path: Path) -> Source:
    """Open the checkpoint that `path` (a folder, a prefix or one of the files) means.

    Raises `SourceError` where a file is missing or damaged.
    """
    files = locate(path)
    meta = _read_meta(files.meta)
    graph_def = meta.graph_def
    if not graph_def.node:
        raise SourceError(f"'{files.meta.name}' holds no graph: it is empty or not a .meta file.")
    strip_places(graph_def)
    saver_scope = meta.saver_def.restore_op_name.rpartition("/")[0]
    info = meta.meta_info_def
    return Source(
        kind="checkpoint",
        name=files.prefix.name,
        graph_def=graph_def,
        values=CheckpointValues(files, restored_entries(Graph(graph_def), saver_scope)),
        files=files.all,
        producer=info.tensorflow_version,
        op_list=info.stripped_op_list if info.HasField("stripped_op_list") else None,
        warnings=list(files.warnings),
    )


class CheckpointValues:
    """Reads variables from the checkpoint's entries."""

    def __init__(self, files: CheckpointFiles, entries: dict[str, list[Entry]]) -> None:
        """Open the index; raise `SourceError` where it cannot be read."""
        self._files = files
        self._entries = entries
        try:
            self._reader: Any = tf.train.load_checkpoint(str(files.prefix))
            self._shapes: dict[str, list[int]] = self._reader.get_variable_to_shape_map()
            self._dtypes: dict[str, Any] = self._reader.get_variable_to_dtype_map()
        except _READ_ERRORS as error:
            raise SourceError(
                f"'{files.index.name}' cannot be read as a checkpoint's index: it is damaged or "
                f"incomplete ({reason(error)})."
            ) from error
        self._last: tuple[str, npt.NDArray[Any]] | None = None

    def read(self, nodes: Iterable[Any]) -> dict[str, Value]:
        """Return the value of each variable NodeDef, by node name."""
        values = {}
        for node in nodes:
            values[node.name] = self._value(node, self._entry(node))
        self._last = None
        return values

    def _entry(self, node: Any) -> Entry:
        """Return where the variable is stored: as the graph's saver says, else under its name."""
        shared = node.attr["shared_name"].s.decode() if "shared_name" in node.attr else ""
        known = self._entries.get(node.name, [])
        tried = [*known[:1], Entry(node.name, ""), *known[1:], Entry(shared, "")]
        for entry in tried:
            if entry.key in self._shapes:
                return entry
        name = tried[0].key
        close = nearest(name, self._shapes)
        hint = f" Nearest: {', '.join(close)}." if close else ""
        raise SourceError(
            f"The graph needs the variable '{name}', which is not among the {len(self._shapes)} "
            f"entries of the checkpoint '{self._files.prefix.name}'.{hint}"
        )

    def _value(self, node: Any, entry: Entry) -> Value:
        dtype = tf.as_dtype(node.attr["dtype"].type).base_dtype
        stored = self._dtypes[entry.key].base_dtype
        if stored != dtype:
            raise SourceError(
                f"The variable '{node.name}' is {dtype.name} in the graph, but {stored.name} in "
                f"the checkpoint '{self._files.prefix.name}'."
            )
        full = self._tensor(entry.key)
        array = full
        if entry.slice:
            try:
                array = full[parse_slice(entry.slice)[1]]
            except (ValueError, IndexError) as error:
                raise SourceError(
                    f"The part '{entry.slice}' of the variable '{entry.key}' cannot be read."
                ) from error
        wanted = tf.TensorShape(node.attr["shape"].shape)
        if "shape" in node.attr and not wanted.is_compatible_with(array.shape):
            raise SourceError(
                f"The variable '{node.name}' has the shape {wanted} in the graph, but "
                f"{tf.TensorShape(array.shape)} in the checkpoint '{self._files.prefix.name}': "
                "the .meta file belongs to another model."
            )
        return Value(array=array, key=entry.key, full_shape=tuple(full.shape))

    def _tensor(self, key: str) -> npt.NDArray[Any]:
        """Return the entry; the last one is kept, because the parts of one follow each other."""
        if self._last is None or self._last[0] != key:
            try:
                self._last = key, self._reader.get_tensor(key)
            except _READ_ERRORS as error:
                names = ", ".join(file.name for file in self._files.data)
                raise SourceError(
                    f"The variable '{key}' cannot be read from {names}: the file is damaged or "
                    f"incomplete ({reason(error)})."
                ) from error
        return self._last[1]


def _read_meta(path: Path) -> Any:
    meta = tf.compat.v1.MetaGraphDef()
    try:
        meta.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise SourceError(
            f"'{path.name}' cannot be read as a meta graph: it is damaged or incomplete."
        ) from error
    except OSError as error:
        raise SourceError(f"'{path.name}' cannot be read: {error.strerror}.") from error
    return meta

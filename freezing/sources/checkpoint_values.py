"""Reading variables out of a checkpoint's data, whichever format it has."""

import math
from collections.abc import Iterable
from typing import Any

import numpy.typing as npt
import tensorflow as tf

from freezing.graph.names import nearest
from freezing.running.reasons import reason
from freezing.sources.restore import CheckpointEntry, parse_slice
from freezing.sources.source import Value
from worker.errors import SourceError
from worker.sources.checkpoint_files import CheckpointData

# How TensorFlow's readers fail on files that are damaged, not there, or not theirs.
_READ_ERRORS = (tf.errors.OpError, RuntimeError, ValueError, LookupError, OSError)


class CheckpointValues:
    """Reads variables from the checkpoint's entries."""

    def __init__(self, data: CheckpointData, entries: dict[str, list[CheckpointEntry]]) -> None:
        """Open the index; raise `SourceError` where it cannot be read.

        `entries` says for a variable node under which names it may be stored.
        """
        self._data = data
        self._entries = entries
        try:
            self._reader: Any = tf.compat.v1.train.NewCheckpointReader(
                str(data.prefix) if data.index else data.pattern
            )
            self._shapes: dict[str, list[int]] = self._reader.get_variable_to_shape_map()
            self._dtypes: dict[str, Any] = self._reader.get_variable_to_dtype_map()
        except _READ_ERRORS as error:
            name, role = (data.index.name, "index") if data.index else (data.data[0].name, "data")
            raise SourceError(
                f"'{name}' cannot be read as a checkpoint's {role}: it is damaged or "
                f"incomplete ({reason(error)})."
            ) from error
        self._last: tuple[str, npt.NDArray[Any]] | None = None

    @property
    def names(self) -> list[str]:
        """The names of all entries."""
        return sorted(self._shapes)

    def read(self, nodes: Iterable[Any]) -> dict[str, Value]:
        """Return the value of each variable NodeDef, by node name."""
        values = {}
        for node in nodes:
            values[node.name] = self._value(node, self._entry(node))
        self._last = None
        return values

    def bytes_of(self, node: Any) -> int:
        """Return the size of what is stored for the variable, which the index tells."""
        try:
            key = self._entry(node).key
        except SourceError:  # said when it is read
            return 0
        return math.prod(self._shapes[key]) * int(self._dtypes[key].size)

    def entry(self, node: Any) -> CheckpointEntry | None:
        """Return where the value of a variable NodeDef lies; None where it is missing."""
        try:
            return self._entry(node)
        except SourceError:
            return None

    def read_entry(self, node: Any, entry: CheckpointEntry) -> Value:
        """Return what lies there as the value of a variable NodeDef."""
        return self._value(node, entry)

    def _entry(self, node: Any) -> CheckpointEntry:
        """Return where the variable is stored: as the graph's saver says, else under its name."""
        shared = (
            node.attr["shared_name"].s.decode("utf-8", "replace")
            if "shared_name" in node.attr
            else ""
        )
        known = self._entries.get(node.name, [])
        tried = [
            *known[:1],
            CheckpointEntry(node.name, ""),
            *known[1:],
            CheckpointEntry(shared, ""),
        ]
        for entry in tried:
            if entry.key in self._shapes:
                return entry
        name = tried[0].key
        close = nearest(name, self._shapes)
        hint = f" Nearest: {', '.join(close)}." if close else ""
        raise SourceError(
            f"The graph needs the variable '{name}', which is not among the {len(self._shapes)} "
            f"entries of the checkpoint '{self._data.prefix.name}'.{hint}"
        )

    def _value(self, node: Any, entry: CheckpointEntry) -> Value:
        dtype = tf.as_dtype(node.attr["dtype"].type).base_dtype
        stored = self._dtypes[entry.key].base_dtype
        if stored != dtype:
            raise SourceError(
                f"The variable '{node.name}' is {dtype.name} in the graph, but {stored.name} in "
                f"the checkpoint '{self._data.prefix.name}'."
            )
        full = self.tensor(entry.key)
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
                f"{tf.TensorShape(array.shape)} in the checkpoint '{self._data.prefix.name}': "
                "the graph belongs to another model."
            )
        return Value(array=array, key=entry.key, full_shape=tuple(full.shape))

    def tensor(self, key: str) -> npt.NDArray[Any]:
        """Return the entry; the last one is kept, because the parts of one follow each other.

        Raises `SourceError` where it is not there or cannot be read.
        """
        if self._last is None or self._last[0] != key:
            try:
                self._last = key, self._read(key)
            except _READ_ERRORS as error:
                names = ", ".join(file.name for file in self._data.data)
                raise SourceError(
                    f"The variable '{key}' cannot be read from {names}: the file is damaged or "
                    f"incomplete ({reason(error)})."
                ) from error
        return self._last[1]

    def _read(self, key: str) -> npt.NDArray[Any]:
        try:
            array: npt.NDArray[Any] = self._reader.get_tensor(key)
            return array
        except _READ_ERRORS:
            if self._data.index:
                raise
        # The reader does not put entries together that the V1 format holds in slices; the op does.
        with tf.Graph().as_default(), tf.compat.v1.Session() as session:
            whole = tf.raw_ops.Restore(
                file_pattern=self._data.pattern, tensor_name=key, dt=self._dtypes[key]
            )
            found: npt.NDArray[Any] = session.run(whole)
        return found

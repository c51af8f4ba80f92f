"""What lookup tables hold, read from the nodes that initialise them. Nothing is looked up or run.

A table is filled when a model is loaded: from constants, from a text file among the assets, or,
where training changes it, from the checkpoint.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from freezing.graph.functions import inline_functions
from freezing.graph.graph import (
    CONTROL_FLOW_OPS,
    PLACEHOLDER_OPS,
    Endpoint,
    Graph,
    called_functions,
    op_def,
)
from freezing.running.limited_runs import limited
from freezing.running.reasons import reason
from freezing.sources.restore import restored_entry
from worker.auditing import allowed_ops
from worker.errors import FreezeError, SourceError
from worker.formatting import binary_size

Array = npt.NDArray[Any]

TABLE_OPS = frozenset(
    {"HashTable", "HashTableV2", "MutableHashTable", "MutableHashTableV2"}
    | {"MutableDenseHashTable", "MutableDenseHashTableV2"}
)
FINDS = frozenset({"LookupTableFind", "LookupTableFindV2"})
SIZES = frozenset({"LookupTableSize", "LookupTableSizeV2"})
_INITIALIZERS = frozenset({"InitializeTable", "InitializeTableV2"})
_FILE_INITIALIZERS = frozenset({"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"})
_IMPORTS = frozenset({"LookupTableImport", "LookupTableImportV2"})
_FILLING = _INITIALIZERS | _FILE_INITIALIZERS | _IMPORTS
_WHOLE_LINE, _LINE_NUMBER = -2, -1  # as key_index and value_index of text file initialisers
_MOST_BYTES = 256 * 2**20  # of a vocabulary file


@dataclass(frozen=True, kw_only=True)
class Table:
    """Keys and what they stand for, in the order of the source; or why they are not known."""

    keys: Array
    values: Array
    problem: str = ""

    def labels(self) -> list[str] | None:
        """Return the texts by their number where the keys are those from 0 without a gap."""
        values = None if self.problem or self.values.dtype.kind != "O" else self.by_number()
        return None if values is None else [_text(value) for value in values]

    def by_number(self) -> Array | None:
        """Return the values in the order of their keys where these are the numbers from 0."""
        if self.keys.dtype.kind not in "iu":
            return None
        order = np.argsort(self.keys)
        if not np.array_equal(self.keys[order], np.arange(len(self.keys))):
            return None
        return self.values[order]


def read_tables(
    graph: Graph, assets: Callable[[str, str], Path | None], stored: Callable[[str], Array] | None
) -> dict[str, Table]:
    """Return what each table of the graph holds, by the name of the table's node.

    `assets` finds the file for a tensor's name and the path that it holds; `stored` reads an entry
    of the checkpoint.
    """
    names = {node.name for node in graph if node.op in TABLE_OPS}
    found: dict[str, Table] = {}
    if not names:
        return found
    graph = _with_functions_in_line(graph)
    for node in graph:
        if node.op not in _FILLING:
            continue
        ends = graph.data_inputs(node.name)
        name = table_behind(graph, ends[0])
        if name not in names or (name in found and not found[name].problem):
            continue
        try:
            if node.op in _FILE_INITIALIZERS:
                found[name] = _from_file(graph, node, ends[1], assets)
            else:
                found[name] = _from_tensors(graph, ends[1], ends[2], stored)
        except SourceError as error:
            found[name] = _unknown(error.message)
    for name in names - found.keys():
        found[name] = _unknown("nothing in the graph says what it holds.")
    return found


def _with_functions_in_line(graph: Graph) -> Graph:
    """Return the graph, or the part that fills tables where functions do that."""
    filling = {
        name
        for name, function in graph.functions.items()
        if any(node.op in _FILLING for node in function.node_def)
    }
    if not filling:
        return graph
    callers = [node.name for node in graph if called_functions([node], graph.functions) & filling]
    part = graph.subgraph(graph.ancestors(callers))
    try:
        return inline_functions(part, [f"{name}:0" for name in callers])
    except FreezeError:
        return graph  # the tables are found to be unknown then


def table_behind(graph: Graph, end: Endpoint) -> str:
    """Return the node that the handle of a table comes from."""
    while end.node in graph:
        node = graph.nodes[end.node]
        inputs = graph.data_inputs(end.node)
        if node.op not in CONTROL_FLOW_OPS | {"Identity", "RefIdentity"} or not inputs:
            break
        end = inputs[0]
    return end.node


def no_assets(_tensor: str, _path: str) -> Path | None:
    """Find no file: the source has none beside it."""
    return None


def assets_beside(folder: Path, named: Mapping[str, str]) -> Callable[[str, str], Path | None]:
    """Return a function that finds assets by their base names in the folder or in its `assets`.

    `named` gives, by tensor, the names that the source itself has for its assets.
    """

    def find(tensor: str, path: str) -> Path | None:
        # The path is of the machine that trained; only its last part can be found here.
        base = named.get(tensor) or path
        name = base.replace("\\", "/").rsplit("/", 1)[-1]
        files = (folder / "assets" / name, folder / name)
        return next((file for file in files if name and file.is_file()), None)

    return find


def _from_tensors(
    graph: Graph, keys: Endpoint, values: Endpoint, stored: Callable[[str], Array] | None
) -> Table:
    known = []
    for end in (keys, values):
        entry = restored_entry(graph, end)
        if entry is not None and stored is not None:
            known.append(np.asarray(stored(entry.key)))
        else:
            known.append(_constant(graph, end))
    if known[0].ndim != 1 or known[0].shape != known[1].shape:
        raise SourceError("its values are not one number or text for each key.")
    return Table(keys=known[0], values=known[1])


def _constant(graph: Graph, end: Endpoint) -> Array:
    """Return what the tensor holds, which must depend on constants alone."""
    needed: set[str] = set()
    waiting = [end.node]
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        needed.add(name)
        # What only has to run before it does not change a constant.
        waiting.extend(taken.node for taken in graph.data_inputs(name))
        op = graph.nodes[name].op
        definition = op_def(op)
        if (
            op not in allowed_ops.SERVED
            or op in PLACEHOLDER_OPS
            or definition is None
            or definition.is_stateful
        ):
            raise SourceError(f"its content comes from '{name}' ({op}), which is no constant.")
    with (
        limited("reading what a lookup table holds"),
        tf.Graph().as_default(),
        tf.compat.v1.Session() as session,
    ):
        try:
            part = graph.subgraph(needed).to_graph_def()
            for node in part.node:
                data = [text for text in node.input if not text.startswith("^")]
                del node.input[:]
                node.input.extend(data)
            tf.import_graph_def(part, name="")
            value: Array = np.asarray(session.run(str(end)))
        except (ValueError, tf.errors.OpError) as error:
            raise SourceError(f"its content cannot be read ({reason(error)}).") from error
    return value


def _from_file(
    graph: Graph, node: Any, end: Endpoint, assets: Callable[[str, str], Path | None]
) -> Table:
    end = _origin(graph, end)
    source = graph.nodes[end.node]
    path = ""
    if source.op == "Const":
        held = tf.make_ndarray(source.attr["value"].tensor).ravel()
        path = _text(held[0]) if len(held) else ""
    file = assets(str(end), path)
    if file is None:
        name = path.replace("\\", "/").rsplit("/", 1)[-1] or str(end)
        raise SourceError(f"its file '{name}' is not beside the model, in the folder 'assets'.")
    lines = _lines(file)
    offset = node.attr["offset"].i if "offset" in node.attr else 0
    size = node.attr["vocab_size"].i if "vocab_size" in node.attr else -1
    lines = lines[offset : offset + size] if size > 0 else lines[offset:]
    delimiter = node.attr["delimiter"].s.decode() if "delimiter" in node.attr else "\t"
    definition = table_types(graph.nodes[table_behind(graph, graph.data_inputs(node.name)[0])])
    columns = [
        _column(lines, node.attr[name].i, delimiter, dtype, file.name)
        for name, dtype in zip(("key_index", "value_index"), definition, strict=True)
    ]
    return Table(keys=columns[0], values=columns[1])


def _origin(graph: Graph, end: Endpoint) -> Endpoint:
    """Return where a file's name comes from; TensorFlow 2 passes it through a variable."""
    seen: set[str] = set()
    while end.node not in seen:
        seen.add(end.node)
        op = graph.nodes[end.node].op
        if op == "Identity":
            end = graph.data_inputs(end.node)[0]
        elif op == "ReadVariableOp":
            variable = graph.data_inputs(end.node)[0]
            for node in graph:
                if node.op == "AssignVariableOp" and graph.data_inputs(node.name)[0] == variable:
                    end = graph.data_inputs(node.name)[1]
    return end


def table_types(node: Any) -> tuple[Any, Any]:
    """Return the dtypes of a table's keys and values."""
    return (
        tf.as_dtype(node.attr["key_dtype"].type),
        tf.as_dtype(node.attr["value_dtype"].type),
    )


def _lines(file: Path) -> list[bytes]:
    if file.stat().st_size > _MOST_BYTES:
        raise SourceError(f"its file '{file.name}' is larger than {binary_size(_MOST_BYTES)}.")
    content = file.read_bytes().replace(b"\r", b"")
    lines = content.split(b"\n")
    return lines[:-1] if lines[-1] == b"" else lines


def _column(lines: list[bytes], index: int, delimiter: str, dtype: Any, name: str) -> Array:
    if index == _LINE_NUMBER:
        return np.arange(len(lines), dtype=np.int64)
    texts: Iterable[bytes] = lines
    if index != _WHOLE_LINE:
        parts = [line.split(delimiter.encode()) for line in lines]
        if any(len(part) <= index for part in parts):
            raise SourceError(f"its file '{name}' has lines without a column {index + 1}.")
        texts = [part[index] for part in parts]
    if dtype == tf.string:
        return np.array([*texts, None], dtype=object)[:-1]  # None keeps numpy from making `S`
    try:
        return np.array([float(t) if dtype.is_floating else int(t) for t in texts]).astype(
            dtype.as_numpy_dtype
        )
    except ValueError:
        raise SourceError(f"its file '{name}' holds something that is no number.") from None


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _unknown(problem: str) -> Table:
    nothing = np.array([], dtype=object)
    return Table(keys=nothing, values=nothing, problem=problem)

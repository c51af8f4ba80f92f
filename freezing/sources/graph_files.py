"""Reading graphs from files: a GraphDef or a MetaGraphDef, in binary or in text form."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import text_format  # type: ignore[import-untyped]  # has no stubs
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]  # has no stubs

from freezing.graph.attributes import strip_places
from freezing.graph.variable_uses import mend_leftovers
from worker.auditing.calls import why_endless
from worker.errors import SourceError
from worker.out_of_memory import is_out_of_memory
from worker.sources.contents import FileContent, is_text, sniff


@dataclass(frozen=True, kw_only=True)
class StoredGraph:
    """A graph as a file held it, less devices and colocation."""

    graph_def: Any
    saver_scope: str  # of the ops that restore its variables; "" where it does not say
    producer: str  # the TensorFlow version that wrote it, "" where it does not say
    op_list: Any  # the producer's OpList, or None


def read_graph(path: Path) -> StoredGraph:
    """Return the graph of a GraphDef or MetaGraphDef file.

    Of a meta graph only the graph is taken: its collections, saver and devices belong to the
    machine that trained. Raises `SourceError` where the file is damaged, empty or neither.
    """
    if path.suffix == ".meta" or sniff(path) is FileContent.META_GRAPH:
        meta = tf.compat.v1.MetaGraphDef()
        parse_message(path, meta, "a meta graph")
        return from_meta_graph(path, meta)
    graph_def = tf.compat.v1.GraphDef()
    parse_message(path, graph_def, "a graph")
    _check(path, graph_def)
    return StoredGraph(graph_def=graph_def, saver_scope="", producer="", op_list=None)


def from_meta_graph(path: Path, meta: Any) -> StoredGraph:
    """Return the graph of a MetaGraphDef that was read from `path`."""
    _check(path, meta.graph_def)
    info = meta.meta_info_def
    return StoredGraph(
        graph_def=meta.graph_def,
        saver_scope=meta.saver_def.restore_op_name.rpartition("/")[0],
        producer=info.tensorflow_version,
        op_list=info.stripped_op_list if info.HasField("stripped_op_list") else None,
    )


def parse_message(path: Path, message: Any, what: str) -> None:
    """Read the file into the protocol buffer `message`; `what` is how sentences call it.

    Raises `SourceError` where it cannot be read.
    """
    try:
        if is_text(path):
            # Fields that were removed since, or are not yet known, do not matter to what is there.
            text_format.Parse(
                path.read_bytes().decode("utf-8-sig"), message, allow_unknown_field=True
            )
        else:
            message.ParseFromString(path.read_bytes())
    except RecursionError:
        raise SourceError(
            f"'{path.name}' cannot be read as {what}: it is nested too deeply."
        ) from None
    except (DecodeError, text_format.ParseError, UnicodeDecodeError) as error:
        if is_out_of_memory(error):
            raise MemoryError from error
        where = f" (line {line})" if (line := getattr(error, "GetLine", lambda: None)()) else ""
        raise SourceError(
            f"'{path.name}' cannot be read as {what}: it is damaged or incomplete{where}."
        ) from error
    except OSError as error:
        raise SourceError(f"'{path.name}' cannot be read: {error.strerror}.") from error


def _check(path: Path, graph_def: Any) -> None:
    if not graph_def.node:
        raise SourceError(
            f"'{path.name}' holds no graph: it is empty"
            + (" or not a .meta file." if path.suffix == ".meta" else ".")
        )
    endless = why_endless(graph_def)
    if endless is not None:
        raise SourceError(
            f"'{path.name}' is not loaded: its graph {endless}. TensorFlow writes no such graph: "
            "export the model again where it was trained."
        )
    strip_places(graph_def)
    mend_leftovers(graph_def)

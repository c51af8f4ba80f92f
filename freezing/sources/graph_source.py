"""A graph by itself: frozen already, or beside a checkpoint with its variables."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from freezing.graph.graph import VARIABLE_OPS, Graph
from freezing.sources.checkpoint import open_with_graph
from freezing.sources.graph_files import read_graph
from freezing.sources.lookup_tables import assets_beside, read_tables
from freezing.sources.source import Source, Value
from worker.errors import SourceError
from worker.sources.checkpoint_files import holds_checkpoint

_MOST_NAMES = 3


def open_graph(path: Path) -> Source:
    """Open the GraphDef or MetaGraphDef at `path`, with the checkpoint beside it if it needs one.

    Raises `SourceError` where a file is damaged.
    """
    graph = read_graph(path)
    has_variables = any(node.op in VARIABLE_OPS for node in graph.graph_def.node)
    if has_variables and holds_checkpoint(path.parent):
        return open_with_graph(path, graph)
    return Source(
        kind="graph",
        name=path.name,
        graph_def=graph.graph_def,
        values=NoValues(path.name),
        files=(path,),
        producer=graph.producer,
        op_list=graph.op_list,
        tables=read_tables(Graph(graph.graph_def), assets_beside(path.parent, {}), None),
    )


class NoValues:
    """Stands for the variables of a graph that came without."""

    def __init__(self, name: str) -> None:
        self._name = name

    def read(self, nodes: Iterable[Any]) -> dict[str, Value]:
        """Return nothing for nothing; raise `SourceError` where there are variables."""
        names = [node.name for node in nodes]
        if not names:
            return {}
        more = len(names) - _MOST_NAMES
        shown = ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
        raise SourceError(
            f"'{self._name}' is a graph that is not frozen: it needs the variables {shown}, and no "
            "checkpoint lies beside it. Give the checkpoint's .index and .data files together "
            "with it."
        )

"""A TensorFlow 1 checkpoint: a graph in one file, variables in others."""

from pathlib import Path

from freezing.graph.graph import Graph
from freezing.graph.ranges import settle_ranges
from freezing.sources.checkpoint_values import CheckpointValues
from freezing.sources.graph_files import StoredGraph, read_graph
from freezing.sources.lookup_tables import assets_beside, read_tables
from freezing.sources.restore import restored_entries
from freezing.sources.source import Source
from worker.sources.checkpoint_files import CheckpointFiles, locate, locate_data

_RANGES = (
    "The graph is one of quantisation-aware training, which changes the ranges of its values while "
    "it runs: the ranges that the checkpoint holds are used, as create_eval_graph does."
)
__all__ = ["open_checkpoint", "open_with_graph"]


def open_checkpoint(path: Path) -> Source:
    """Open the checkpoint that `path` (a folder, a prefix or one of the files) means.

    Raises `SourceError` where a file is missing or damaged.
    """
    files = locate(path)
    return _opened(files, read_graph(files.graph))


def open_with_graph(path: Path, graph: StoredGraph) -> Source:
    """Open the graph of the file `path` with the variables of the checkpoint that lies beside it.

    Raises `SourceError` where there is none, or its files are missing or damaged.
    """
    warnings: list[str] = []
    values = locate_data(path.parent, warnings)
    warnings.append(
        f"The variables are those of the checkpoint '{values.prefix.name}' beside it. "
        "If others are meant, name their checkpoint with `checkpoint` (--checkpoint)."
    )
    files = CheckpointFiles(values=values, graph=path, warnings=tuple(warnings))
    return _opened(files, graph)


def _opened(files: CheckpointFiles, graph: StoredGraph) -> Source:
    warnings = list(files.warnings)
    if settle_ranges(graph.graph_def):
        warnings.append(_RANGES)
    nodes = Graph(graph.graph_def)
    values = CheckpointValues(files.values, restored_entries(nodes, graph.saver_scope))
    return Source(
        kind="checkpoint",
        name=files.prefix.name,
        graph_def=graph.graph_def,
        values=values,
        files=files.all,
        producer=graph.producer,
        op_list=graph.op_list,
        tables=read_tables(nodes, assets_beside(files.graph.parent, {}), values.tensor),
        warnings=warnings,
    )

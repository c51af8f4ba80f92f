"""What the nodes of a training graph are for, told from their ops and names."""

import re
from collections import Counter
from collections.abc import Collection

from freezing.graph.graph import VARIABLE_OPS, Graph
from freezing.graph.kinds import KINDS

_SAVER_OPS = frozenset(
    {"Save", "SaveV2", "SaveSlices", "Restore", "RestoreV2", "RestoreSlice"}
    | {"MergeV2Checkpoints", "ShardedFilename", "ShardedFilespec"}
)
_SUMMARY = re.compile(r"Summary")
_QUEUE = re.compile(r"Queue|Reader|Iterator|Dataset|Barrier|StagingArea|\AStage|\AUnstage")
_GRADIENT_OP = re.compile(
    r"\A(Resource)?(Sparse)?Apply[A-Z]|Grad(V\d)?\Z|Backprop(Input|Filter)?(V\d)?\Z"
)
_GRADIENT_SCOPE = re.compile(r"(\A|/)gradients(_\d+)?/|/gradients/")
_INITIALIZER_NAME = re.compile(r"/Initializer/|/initial_value\Z|(\A|/)init(_\d+)?\Z")
_SLOT_NAME = re.compile(
    r"/(Adam|Adagrad|Adadelta|Momentum|RMSProp|Ftrl|Nadam|AMSGrad|AdaMax|LARS|LAMB)\w*\Z"
    r"|/(ExponentialMovingAverage|m|v|vhat|momentum|rms|accumulator)\Z"
    r"|(\A|/)beta[12]_power(_\d+)?\Z"
)
_ASSIGN_OPS = frozenset({"Assign", "AssignVariableOp"})
_SOURCES_OF_DATA = VARIABLE_OPS | {"Placeholder", "PlaceholderV2"}


def roles(graph: Graph) -> dict[str, str]:
    """Return each node's kind, one of `KINDS`."""
    found = {name: _role(graph, name) for name in graph.nodes}
    saver_scopes = {
        name.rsplit("/", 1)[0] + "/"
        for name, kind in found.items()
        if kind == "savers" and "/" in name
    }
    for name, kind in found.items():
        if kind != "savers" and any(name.startswith(scope) for scope in saver_scopes):
            found[name] = "savers"
    for name in _initial_values(graph, found):
        if found[name] == "other":
            found[name] = "initializers"
    return found


def count_removed(graph: Graph, kept: Collection[str]) -> dict[str, int]:
    """Return, by kind, how many nodes of `graph` are not among the names `kept`."""
    counts = Counter(kind for name, kind in roles(graph).items() if name not in kept)
    return {kind: counts[kind] for kind in KINDS}


def _role(graph: Graph, name: str) -> str:
    node = graph.nodes[name]
    op = node.op
    kind = "other"
    if op in _SAVER_OPS:
        kind = "savers"
    elif _SUMMARY.search(op):
        kind = "summaries"
    elif _GRADIENT_OP.search(op) or _GRADIENT_SCOPE.search(name):
        kind = "gradients"
    elif _QUEUE.search(op):
        kind = "queues"
    elif op in VARIABLE_OPS:
        kind = "optimizer_slots" if _SLOT_NAME.search(name) else "other"
    elif op in _ASSIGN_OPS or _INITIALIZER_NAME.search(name):
        kind = "initializers"
    return kind


def _initial_values(graph: Graph, found: dict[str, str]) -> set[str]:
    """Return the nodes that compute what variables begin with."""
    values: set[str] = set()
    for node in graph:
        if node.op not in _ASSIGN_OPS or found[node.name] != "initializers" or len(node.input) < 2:
            continue
        needed = graph.ancestors([graph.inputs(node.name)[1].node])
        if not any(graph.nodes[name].op in _SOURCES_OF_DATA for name in needed):
            values |= needed
    return values

"""The graphs that are measured, and where each comes from."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.local import demo
from tests.support.system import ROOT, clean_environment


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A graph: what is uploaded to be frozen, and how."""

    name: str
    title: str
    source: Callable[[Path], Sequence[Path]]  # makes or finds the files, given a scratch folder
    options: Mapping[str, Any] = field(default_factory=dict)  # of the freeze
    # Numbers to reach that this graph is not measured by, because its own work hides the rest.
    not_asked: frozenset[str] = frozenset()
    left_out: frozenset[str] = frozenset()  # peers that would take minutes for each photograph
    onnx_limit: float | None = None  # folder batches with ONNX Runtime over the limit, at least


def known() -> dict[str, Graph]:
    """Return the graphs of a full run, by name; without the tutorial's where it is not there."""
    graphs = [_DEMO, _ALEXNET, _MOBILENET]
    if os.environ.get("PERMAFROST_FIXTURES"):
        graphs.insert(0, _tutorial())
    return {graph.name: graph for graph in graphs}


def given(path: Path, options: str | None) -> Graph:
    """Return a graph of one's own: a frozen one, or anything else that one file holds."""
    if not path.is_file():
        raise SystemExit(f"{path} is not a file.")
    return Graph(
        name="given",
        title=path.name,
        source=lambda _: [path],
        options=json.loads(options) if options else {},
    )


def _tutorial() -> Graph:
    tutorial = Path(os.environ["PERMAFROST_FIXTURES"]).resolve() / "tutorial-dogs-cats"
    return Graph(
        name="tutorial",
        title="the tutorial's dog/cat network",
        source=lambda _: sorted((tutorial / "checkpoint").iterdir()),
        options={
            "outputs": ["y_pred"],
            "labels": (tutorial / "labels.txt").read_text().split(),
            "preprocessing": {"preset": "zero_one"},
            "scores": "probabilities",
        },
        onnx_limit=1.2,
    )


_DEMO = Graph(
    name="demo",
    title="the demo model",
    source=lambda _: [demo.FOLDER / name for name in demo.FILES],
    options={name: value for name, value in demo.OPTIONS.items() if name != "name"},
)

# Where a graph takes tens of ms, everybody is as fast as the graph.
_BOUND_BY_GRAPH = frozenset({"litserve", "litserve-onnx", "celery"})


def _made(name: str) -> Callable[[Path], Sequence[Path]]:
    """Return what has a graph written into the scratch folder, in a process of its own."""

    def make(scratch: Path) -> Sequence[Path]:
        path = scratch / name
        subprocess.run(
            [sys.executable, "-m", "tests.bench.made_graphs", path.stem, str(path)],
            cwd=ROOT,
            env=clean_environment(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES=""),
            stderr=subprocess.DEVNULL,
            check=True,
        )
        return [path]

    return make


_ALEXNET = Graph(
    name="alexnet",
    title="as large as AlexNet, 62 million parameters",
    source=_made("alexnet.pb"),
    options={"preprocessing": {"preset": "zero_one"}, "scores": "probabilities"},
    not_asked=_BOUND_BY_GRAPH,
    left_out=frozenset({"tutorial"}),  # each upload's session optimises 250 MB anew
)
_MOBILENET = Graph(
    name="mobilenet",
    title="MobileNetV2's shape, random weights",
    source=_made("mobilenet.keras"),
    options={"preprocessing": {"preset": "minus_one_one"}, "scores": "probabilities"},
    not_asked=_BOUND_BY_GRAPH,
    onnx_limit=1.7,
)

"""Small checkpoints made on the spot, with what their own session answered before saving."""

import json
import resource
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from freezing.running.steps import Report
from freezing.stages import run
from tests.support.orders import freeze_of
from worker.contract.source_requests import FreezeRequest

v1 = tf.compat.v1
Array = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class Saved:
    """A checkpoint on disk, and the answers of the session that wrote it."""

    folder: Path
    images: Array
    expected: dict[str, Array]  # by tensor name

    @property
    def prefix(self) -> Path:
        return self.folder / "model.ckpt-7"


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """What freezing made: the outcome, and the written graph."""

    outcome: dict[str, Any]
    graph_def: Any
    log: list[str]

    def answers(self, images: Array) -> list[Array]:
        """Run the written graph in a fresh session."""
        names = [tensor["name"] for tensor in self.outcome["outputs"]]
        with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
            tf.import_graph_def(self.graph_def, name="")
            answers: list[Array] = session.run(names, {self.outcome["inputs"][0]["name"]: images})
            return answers

    @property
    def ops(self) -> set[str]:
        bodies = [f.node_def for f in self.graph_def.library.function]
        return {node.op for nodes in [self.graph_def.node, *bodies] for node in nodes}


def save(
    folder: Path,
    build: Callable[[], None],
    *,
    outputs: tuple[str, ...] = ("y_pred:0",),
    feeds: dict[str, Any] | None = None,
    images: str = "x:0",
    resource_variables: bool = False,
    control_flow_v2: bool = False,
    saver: Callable[[], Any] | None = None,
    fed_shape: tuple[int, ...] | None = None,
) -> Saved:
    """Build a network in a graph of its own, give its variables random values, save it.

    The expected answers are those of this very session, for random images (of `fed_shape`, where
    the placeholder does not say theirs), with `feeds` fed.
    """
    random = np.random.default_rng(1)
    v1.enable_resource_variables() if resource_variables else v1.disable_resource_variables()
    v1.enable_control_flow_v2() if control_flow_v2 else v1.disable_control_flow_v2()
    folder.mkdir(parents=True, exist_ok=True)
    with tf.Graph().as_default() as graph:
        v1.set_random_seed(1)
        build()
        with v1.Session(graph=graph) as session:
            session.run(v1.global_variables_initializer())
            for variable in v1.global_variables():
                if variable.dtype.base_dtype.is_floating:
                    # Positive, so that variances and the like are possible ones.
                    value = random.uniform(0.05, 0.4, variable.shape.as_list())
                    _assign(session, variable, value)
            placeholder = graph.get_tensor_by_name(images)
            shape = fed_shape
            if shape is None:
                shape = tuple(side or 3 for side in placeholder.shape.as_list())
            # Integers are 0 or 1, which every table has room for.
            largest = 2 if placeholder.dtype.is_integer and fed_shape is not None else 1
            values = np.asarray(random.uniform(0, largest, shape))
            fed = values.astype(placeholder.dtype.as_numpy_dtype)
            answers = session.run(list(outputs), {images: fed, **(feeds or {})})
            made = saver() if saver else v1.train.Saver()
            made.save(session, str(folder / "model.ckpt"), global_step=7)
    return Saved(folder=folder, images=fed, expected=dict(zip(outputs, answers, strict=True)))


def freeze(source: Path, workdir: Path, **fields: Any) -> Frozen:
    """Freeze in this process; the fields are those of a freeze request."""
    request = FreezeRequest.parse({"name": "model", "outputs": ["y_pred"], **fields})
    log: list[str] = []
    path = workdir / "graph.pb"
    report = Report(lambda event: log.append(event.get("message") or event["step"]))
    outcome = run(freeze_of(request, source, path), report, apart=here).model_dump(mode="json")
    graph_def = v1.GraphDef()
    graph_def.ParseFromString(path.read_bytes())
    return Frozen(outcome=outcome, graph_def=graph_def, log=log)


def here(
    report: Report,
    function: Callable[..., Any],
    *arguments: Any,
    doing: str = "",
    write: Any = None,
) -> Any:
    """Do in this process what is otherwise done apart; what comes back still does so as JSON."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        return json.loads(json.dumps(function(report, *arguments)))
    finally:  # a trial limits its own process
        resource.setrlimit(resource.RLIMIT_DATA, before)


def assert_same_answers(saved: Saved, frozen: Frozen, tolerance: float = 1e-5) -> None:
    """Compare the written graph with the session that wrote the checkpoint."""
    for found, expected in zip(frozen.answers(saved.images), saved.expected.values(), strict=True):
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        np.testing.assert_allclose(
            found.astype(np.float64), expected.astype(np.float64), atol=tolerance, rtol=tolerance
        )


def _assign(session: Any, variable: Any, value: Array) -> None:
    initial = variable.initializer.inputs[1]
    session.run(
        variable.initializer, {initial: value.astype(variable.dtype.base_dtype.as_numpy_dtype)}
    )

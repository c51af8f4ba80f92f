"""The two sides of a verification in TensorFlow sessions: the source, and what was written."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from freezing.choosing.plan import Plan
from freezing.converting.variables import variables_needed
from freezing.running.failures import NotRunnableError
from freezing.running.reasons import reason
from freezing.sources.lookup_tables import TABLE_OPS, Table, table_types
from freezing.sources.source import Values
from worker.errors import SourceError

v1 = tf.compat.v1
Array = npt.NDArray[Any]


class SampleSession(AbstractContextManager["SampleSession"]):
    """A graph that answers batches of inputs; freed at the end of its `with` block."""

    def __init__(
        self, graph: Any, feed: str, outputs: Sequence[str], feeds: dict[str, Array]
    ) -> None:
        """Make a session that feeds batches to `feed`; `feeds` are fed at every run."""
        config = v1.ConfigProto()
        # The optimizer copies every constant several times: it costs a large graph (62 million
        # parameters) 14 s and 1.5 GB before its first answer.
        config.graph_options.rewrite_options.disable_meta_optimizer = True
        self._session = v1.Session(graph=graph, config=config)
        self._input = feed
        self._outputs = list(outputs)
        self._feeds = feeds

    def run(self, batch: Array) -> list[Array]:
        """Return one array per output for a batch of inputs (images, ...)."""
        answers: list[Array] = self._session.run(self._outputs, {**self._feeds, self._input: batch})
        return answers

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Free the session."""
        self._session.close()


class Original(SampleSession):
    """The source's own graph, its variables assigned and not yet converted."""

    def __init__(self, plan: Plan, values: Values) -> None:
        """Import the graph and assign its variables, also those in branches never taken."""
        self._graph = tf.Graph()
        with self._graph.as_default():
            tf.import_graph_def(plan.graph.to_graph_def(), name="")
        super().__init__(
            self._graph,
            plan.input.name,
            [tensor.name for tensor in plan.outputs],
            {f"{name}:0": value for name, value in plan.values.items()},
        )
        # Before the first run: each node that is added between two runs is looked at anew.
        assigned = [(node, *self._assignment(node)) for node in variables_needed(plan.graph)]
        filled = [
            self._filling(node, plan.tables[node.name])
            for node in plan.graph
            if node.op in TABLE_OPS and node.name in plan.tables
        ]
        for node, value, assign in assigned:
            self._session.run(assign, {value: _value(values, node)})
        for fill in filled:
            self._session.run(fill)

    def _assignment(self, node: Any) -> tuple[Any, Any]:
        """Return a placeholder for the variable's value, and the op that assigns it."""
        with self._graph.as_default():
            # By a placeholder: as a constant the value would count to the graph's 2 GiB.
            value = v1.placeholder(tf.as_dtype(node.attr["dtype"].type).base_dtype)
            variable = self._graph.get_tensor_by_name(f"{node.name}:0")
            if node.op == "VarHandleOp":
                return value, tf.raw_ops.AssignVariableOp(resource=variable, value=value)
            assign = tf.raw_ops.Assign(ref=variable, value=value, validate_shape=False)
            return value, assign.op

    def _filling(self, node: Any, table: Table) -> Any:
        """Return the op that initialises a lookup table, of which the content is known."""
        with self._graph.as_default():
            handle = self._graph.get_tensor_by_name(f"{node.name}:0")
            name = "LookupTableImport" if "Mutable" in node.op else "InitializeTable"
            keys, values = (
                tf.constant(held, dtype)
                for held, dtype in zip((table.keys, table.values), table_types(node), strict=True)
            )
            fill = getattr(tf.raw_ops, name + ("V2" if node.op.endswith("V2") else ""))
            return fill(table_handle=handle, keys=keys, values=values)


class Written(SampleSession):
    """A frozen graph as it was written, loaded from its file."""

    def __init__(self, path: Path, feed: str, outputs: Sequence[str]) -> None:
        """Load the file; raise `NotRunnableError` where TensorFlow cannot."""
        graph_def = v1.GraphDef()
        graph_def.ParseFromString(path.read_bytes())
        graph = tf.Graph()
        try:
            with graph.as_default():
                tf.import_graph_def(graph_def, name="")
        except (ValueError, TypeError, tf.errors.OpError) as error:
            raise NotRunnableError(
                f"The frozen graph cannot be loaded: {reason(error)}."
            ) from error
        super().__init__(graph, feed, outputs, {})


def _value(values: Values, node: Any) -> Array:
    """Return what the variable holds; zeros if the source lacks it.

    Those that answers depend on have been read before; others only must not stop the run.
    """
    try:
        return values.read([node])[node.name].array
    except SourceError:
        shape = tf.TensorShape(node.attr["shape"].shape)
        dtype = tf.as_dtype(node.attr["dtype"].type).base_dtype.as_numpy_dtype
        sides = [] if shape.rank is None else shape.as_list()
        return np.zeros([side or 1 for side in sides], dtype)

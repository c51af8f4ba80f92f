"""The parameter table, with the tutorial's arithmetic."""

import pytest
import tensorflow as tf

from freezing.choosing.plan import make_plan
from freezing.converting.parameters import by_layer, table, total
from freezing.converting.variables import variables_needed
from freezing.graph.graph import Graph
from freezing.sources.source import Source, Value
from tests.unit.freezing.networks import alexnet, v1
from worker.contract.source_requests import FreezeRequest

ALEXNET = {
    "conv1": 34_944,
    "conv2": 614_656,
    "conv3": 885_120,
    "conv4": 1_327_488,
    "conv5": 884_992,
    "fc6": 37_752_832,
    "fc7": 16_781_312,
    "fc8": 4_097_000,
}


@pytest.mark.parametrize("momentum", [False, True])
def test_alexnet_has_the_parameters_that_the_tutorial_counts(momentum: bool) -> None:
    v1.disable_resource_variables()
    with tf.Graph().as_default() as graph:
        alexnet(v1.train.MomentumOptimizer(0.01, 0.9) if momentum else None)
        graph_def = graph.as_graph_def()
    assert len(variables_needed(Graph(graph_def))) == (32 if momentum else 16)
    source = Source(
        kind="checkpoint",
        name="alexnet",
        graph_def=graph_def,
        values=_NoValues(),
        files=(),
        producer="",
    )
    request = FreezeRequest.parse({"name": "alexnet", "outputs": ["y_pred"]})
    kept = variables_needed(make_plan(source, request).graph)
    rows = table(
        (node.name, tuple(tf.TensorShape(node.attr["shape"].shape).as_list())) for node in kept
    )
    assert {row["name"]: row["parameters"] for row in by_layer(rows)} == ALEXNET
    assert [row["name"] for row in by_layer(rows)] == list(ALEXNET)
    assert total(rows) == 62_378_344
    assert rows[0] == {"name": "conv1/weights", "shape": [11, 11, 3, 96], "parameters": 34_848}


def test_a_variable_without_a_scope_is_a_layer() -> None:
    rows = table([("a/w", (2, 3)), ("scale", ()), ("a/b", (3,)), ("a/w", (2, 3))])
    assert [(row["name"], row["parameters"]) for row in rows] == [
        ("a/w", 6),
        ("scale", 1),
        ("a/b", 3),
    ]
    assert by_layer(rows) == [
        {"name": "a", "shape": None, "parameters": 9},
        {"name": "scale", "shape": None, "parameters": 1},
    ]


class _NoValues:
    def read(self, nodes: object) -> dict[str, Value]:  # noqa: ARG002 - a Values by its shape
        raise AssertionError("the table needs shapes only")

"""What an inspection finds: dropout, random numbers, unknown and unsafe ops, damage."""

import pytest
import tensorflow as tf

from freezing.choosing.plan import make_plan
from freezing.sources.source import Source
from tests.unit.freezing import networks
from tests.unit.freezing.looking import Build, codes, look
from tests.unit.freezing.networks import SIDE, image_placeholder, v1
from tests.unit.freezing.test_choosing import source_of
from tests.unit.freezing.usual_networks import dense_softmax
from worker.contract.source_requests import FreezeRequest
from worker.errors import SourceError


def test_dropout_that_was_left_on_is_told_to_be_turned_off() -> None:
    def build() -> None:
        dense_softmax(v1.nn.dropout(image_placeholder(), rate=0.5))

    found = look(build)
    assert any("Dropout was left on" in one.message for one in found.findings)
    assert "set" not in found.freeze.body
    assert found.freeze.ready


def test_random_numbers_and_batch_statistics_are_told() -> None:
    def build() -> None:
        x = image_placeholder() + tf.random.normal([SIDE, SIDE, 3], name="noise")
        ones, zeros = tf.ones([3]), tf.zeros([3])
        normal = v1.nn.fused_batch_norm(x, ones, zeros, is_training=True)[0]
        dense_softmax(normal)

    assert {"random", "batch_norm_training"} <= codes(look(build), "warning")


def test_a_fixed_batch_and_double_precision_are_told() -> None:
    def build() -> None:
        x = v1.placeholder(tf.float64, [1, SIDE, SIDE, 3], name="x")
        dense_softmax(x)

    assert {"fixed_batch", "float64", "missing_labels"} <= codes(look(build), "note")


def test_paths_of_another_machine_and_unused_placeholders_are_told() -> None:
    def build() -> None:
        networks.trained()
        tf.constant("/home/someone/train.tfrecords", name="file")

    assert {"absolute_paths", "unused_placeholders"} <= codes(look(build), "note")


def renamed(build: Build, node: str, op: str) -> Source:
    """Return a source in which one node is of another op."""
    source = source_of(build)
    for found in source.graph_def.node:
        if found.name == node:
            found.op = op
            found.attr.clear()
    return source


def test_an_op_that_is_not_known_is_told_with_its_package() -> None:
    found = look(renamed(networks.plain, "dense/add", "Addons>Gelu"))
    assert [(one.op, one.needed, one.example) for one in found.unknown_ops] == [
        ("Addons>Gelu", True, "dense/add")
    ]
    assert found.unknown_ops[0].package is not None
    assert "tensorflow-addons" in found.unknown_ops[0].package
    assert codes(found, "error") == {"unknown_op"}
    assert not found.freeze.ready
    assert found.outputs[0].name == "y_pred:0"
    assert found.parameters.kept > 0


def test_an_unknown_op_that_the_outputs_do_not_need_is_a_note() -> None:
    def build() -> None:
        networks.plain()
        tf.identity(tf.zeros([2]), name="sync")

    found = look(renamed(build, "sync", "HorovodBroadcast"))
    assert found.freeze.ready
    assert "unknown_ops_unused" in codes(found, "note")


def test_a_model_that_writes_files_is_looked_into_and_said_to_be_refused() -> None:
    def build() -> None:
        x = image_placeholder()
        with tf.control_dependencies([tf.io.write_file("x", tf.constant("y"))]):
            dense_softmax(tf.identity(x))

    found = look(build)
    assert "unsafe_graph" in codes(found, "error")
    assert not found.freeze.ready
    assert found.outputs[0].name == "y_pred:0"


@pytest.mark.parametrize("damage", ["input", "dtype"])
def test_a_damaged_graph_is_refused_naming_the_node(damage: str) -> None:
    source = source_of(networks.plain)
    for node in source.graph_def.node:
        if damage == "input" and node.name == "y_pred":
            node.input[0] = "nowhere"
        if damage == "dtype" and node.name == "x":
            node.attr.clear()
    words = "'y_pred' .* takes 'nowhere'" if damage == "input" else "'x' .* has no dtype"
    with pytest.raises(SourceError, match=f"damaged: {words}"):
        look(source)
    with pytest.raises(SourceError, match=f"damaged: {words}"):
        make_plan(source, FreezeRequest.parse({"name": "m", "outputs": ["y_pred"]}))

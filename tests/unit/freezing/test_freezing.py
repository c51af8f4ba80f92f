"""Checkpoints of every shape that people trained, frozen and compared with their own session."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from freezing.auditing.audit import UnsupportedGraphError
from freezing.running.steps import FreezeStep
from tests.unit.freezing import networks
from tests.unit.freezing.networks import dense, flat, image_placeholder, v1
from tests.unit.freezing.saved import assert_same_answers, freeze, save
from worker.errors import FreezeError, VerificationError

STATE_OPS = {"VariableV2", "VarHandleOp", "ReadVariableOp", "Assign", "AssignVariableOp"}


def test_a_trained_network_loses_what_only_training_needs(tmp_path: Path) -> None:
    saved = save(tmp_path / "source", networks.trained)
    frozen = freeze(saved.folder, tmp_path)
    assert_same_answers(saved, frozen)
    outcome = frozen.outcome
    assert outcome["nodes_after"] == len(frozen.graph_def.node) < 10
    assert outcome["nodes_before"] > 100
    assert outcome["bytes_after"] == (tmp_path / "graph.pb").stat().st_size
    assert outcome["parameters"] == 192 * 4 + 4
    assert [row["name"] for row in outcome["layers"]] == ["dense/weights", "dense/biases"]
    removed = outcome["removed"]
    assert removed["optimizer_slots"] == 6  # two slots for each of two variables, two powers
    assert min(removed[kind] for kind in ("gradients", "savers", "summaries", "initializers")) > 0
    assert not frozen.ops & STATE_OPS


@pytest.mark.parametrize("resource_variables", [True, False])
def test_a_partitioned_variable_is_one_row_and_all_of_its_parts(
    tmp_path: Path, resource_variables: bool
) -> None:
    def build() -> None:
        x = flat(image_placeholder())
        with v1.variable_scope("dense", partitioner=v1.fixed_size_partitioner(3)):
            weights = v1.get_variable("weights", [192, 4])
        tf.nn.softmax(tf.matmul(x, tf.convert_to_tensor(weights)), name="y_pred")

    saved = save(tmp_path / "source", build, resource_variables=resource_variables)
    frozen = freeze(saved.folder, tmp_path)
    assert_same_answers(saved, frozen)
    assert frozen.outcome["layers"] == [
        {"name": "dense/weights", "shape": [192, 4], "parameters": 768}
    ]


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.float64])
def test_other_precisions(tmp_path: Path, dtype: Any) -> None:
    def build() -> None:
        logits = dense(flat(tf.cast(image_placeholder(), dtype)), 4, "dense")
        tf.nn.softmax(logits, name="y_pred")

    saved = save(tmp_path / "source", build)
    frozen = freeze(saved.folder, tmp_path)
    assert_same_answers(saved, frozen, tolerance=1e-2)
    assert frozen.outcome["outputs"][0]["dtype"] == dtype.name


@pytest.mark.parametrize("resource_variables", [True, False])
def test_an_embedding_is_gathered_from_a_constant(tmp_path: Path, resource_variables: bool) -> None:
    def build() -> None:
        rows = v1.get_variable("embedding", [8, 4])
        x = image_placeholder()
        numbers = tf.cast(tf.reduce_mean(x, [1, 2, 3]) * 7, tf.int32)
        hidden = tf.nn.embedding_lookup(rows, numbers) + tf.gather_nd(rows, [[1]])
        hidden += tf.cast(tf.shape(rows)[0], tf.float32)
        tf.nn.softmax(dense(hidden, 4, "dense"), name="y_pred")

    saved = save(tmp_path / "source", build, resource_variables=resource_variables)
    frozen = freeze(saved.folder, tmp_path)
    assert_same_answers(saved, frozen)
    assert not frozen.ops & (STATE_OPS | {"ResourceGather", "ResourceGatherNd", "VariableShape"})


def test_a_saver_that_stores_moving_averages_under_another_name(tmp_path: Path) -> None:
    averages = v1.train.ExponentialMovingAverage(0.9)

    def build() -> None:
        networks.plain()
        averages.apply(v1.trainable_variables())

    def saver() -> Any:
        # What evaluation scripts use: each variable is restored from its moving average.
        return v1.train.Saver(averages.variables_to_restore(v1.trainable_variables()))

    saved = save(tmp_path / "source", build, saver=saver)
    with tf.Graph().as_default(), v1.Session() as session:
        restored = v1.train.import_meta_graph(f"{saved.prefix}.meta")
        restored.restore(session, str(saved.prefix))
        expected = session.run("y_pred:0", {"x:0": saved.images})
    frozen = freeze(saved.folder, tmp_path)
    np.testing.assert_allclose(frozen.answers(saved.images)[0], expected, atol=1e-5)


def test_several_outputs_are_kept_in_the_order_asked_for(tmp_path: Path) -> None:
    saved = save(tmp_path / "source", networks.plain, outputs=("y_pred:0", "logits:0"))
    frozen = freeze(saved.folder, tmp_path, outputs=["y_pred", "logits:0", "y_pred:0"])
    assert [output["name"] for output in frozen.outcome["outputs"]] == ["y_pred:0", "logits:0"]
    assert_same_answers(saved, frozen)


def test_a_tensor_in_the_middle_becomes_the_input(tmp_path: Path) -> None:
    def build() -> None:
        text = v1.placeholder(tf.string, [], name="jpeg")
        image = tf.image.decode_jpeg(text, channels=3)
        batch = tf.expand_dims(tf.image.convert_image_dtype(image, tf.float32), 0)
        x = tf.reshape(v1.image.resize_bilinear(batch, [8, 8]), [-1, 8, 8, 3], name="x")
        tf.nn.softmax(dense(flat(x), 4, "dense"), name="y_pred")

    saved = save(tmp_path / "source", build)
    frozen = freeze(saved.folder, tmp_path, inputs=["x"])
    assert frozen.outcome["inputs"][0]["name"] == "x:0"
    assert_same_answers(saved, frozen)
    unnamed = freeze(saved.folder, tmp_path)
    assert unnamed.outcome["inputs"][0]["shape"] == [1, 8, 8, 3]  # behind decoding and resizing
    assert any("'jpeg' takes text" in warning for warning in unnamed.outcome["warnings"])


def test_one_output_of_a_node_with_several_becomes_the_input(tmp_path: Path) -> None:
    def build() -> None:
        both = v1.placeholder(tf.float32, [None, 16, 8, 3], name="both")
        first, second = tf.split(both, 2, axis=1, name="split")
        tf.nn.softmax(dense(flat(second), 4, "dense") + tf.reduce_mean(first), name="y_pred")

    first = np.full([1, 8, 8, 3], 0.5).tolist()
    saved = save(tmp_path / "source", build, images="split:1", feeds={"split:0": first})
    frozen = freeze(saved.folder, tmp_path, inputs=["split:1"], set={"split:0": first})
    assert frozen.outcome["inputs"][0]["name"] == "split_1:0"
    assert any("split_1:0" in warning for warning in frozen.outcome["warnings"])
    assert_same_answers(saved, frozen)


def test_an_input_pipeline_is_cut_off_behind_the_images_that_it_gives(tmp_path: Path) -> None:
    def build() -> None:
        queue = v1.FIFOQueue(4, [tf.float32], [[8, 8, 3]], name="queue")
        x = queue.dequeue_many(2, name="batch")
        tf.nn.softmax(dense(flat(x), 4, "dense"), name="y_pred")

    saved = save(tmp_path / "source", build, images="batch:0")
    assert_same_answers(saved, freeze(saved.folder, tmp_path, inputs=["batch"]))
    frozen = freeze(saved.folder, tmp_path)
    assert frozen.outcome["inputs"][0]["name"] == "batch:0"
    assert any("'batch:0' was chosen" in warning for warning in frozen.outcome["warnings"])


def test_a_batch_size_that_is_fixed_stays_and_is_told(tmp_path: Path) -> None:
    def build() -> None:
        x = image_placeholder(batch=3)
        tf.nn.softmax(dense(tf.reshape(x, [3, 192]), 4, "dense"), name="y_pred")

    saved = save(tmp_path / "source", build)
    frozen = freeze(saved.folder, tmp_path)
    assert frozen.outcome["inputs"][0]["shape"] == [3, 8, 8, 3]
    assert_same_answers(saved, frozen)


def test_a_batch_size_that_only_the_inside_fixes_is_found(tmp_path: Path) -> None:
    def build() -> None:
        hidden = tf.reshape(image_placeholder(), [3, 192])
        tf.nn.softmax(dense(hidden, 4, "dense"), name="y_pred")

    saved = save(tmp_path / "source", build)
    frozen = freeze(saved.folder, tmp_path)
    assert frozen.outcome["inputs"][0]["shape"] == [3, 8, 8, 3]


def test_devices_and_colocation_of_the_training_machine_do_not_matter(tmp_path: Path) -> None:
    def build() -> None:
        with tf.device("/job:worker/task:3/device:GPU:1"):
            x = image_placeholder()
            logits = dense(flat(x), 4, "dense")
        with v1.colocate_with(logits.op):
            tf.nn.softmax(logits, name="y_pred")

    saved = save(tmp_path / "source", networks.plain)
    with tf.Graph().as_default() as graph:
        v1.disable_resource_variables()
        build()
        assert any("GPU:1" in node.device for node in graph.as_graph_def().node)
        meta = v1.train.export_meta_graph()
    Path(f"{saved.prefix}.meta").write_bytes(meta.SerializeToString())
    assert_same_answers(saved, freeze(saved.folder, tmp_path))


def test_stale_collections_are_ignored(tmp_path: Path) -> None:
    saved = save(tmp_path / "source", networks.trained)
    path = Path(f"{saved.prefix}.meta")
    meta = v1.MetaGraphDef()
    meta.ParseFromString(path.read_bytes())
    meta.collection_def["train_op"].node_list.value.append("nowhere")
    meta.collection_def["variables"].bytes_list.value.append(b"not a VariableDef")
    meta.collection_def["mine"].any_list.value.add().type_url = "type.googleapis.com/unknown.Kind"
    meta.saver_def.restore_op_name = "elsewhere/restore_all"
    path.write_bytes(meta.SerializeToString())
    assert_same_answers(saved, freeze(saved.folder, tmp_path))


def test_attributes_that_are_not_known_here_are_left_out(tmp_path: Path) -> None:
    saved = save(tmp_path / "source", networks.plain)
    path = Path(f"{saved.prefix}.meta")
    meta = v1.MetaGraphDef()
    meta.ParseFromString(path.read_bytes())
    for node in meta.graph_def.node:
        if node.op == "MatMul":
            node.attr["of_the_future"].b = True
        node.attr["_output_shapes"].list.shape.add()
    path.write_bytes(meta.SerializeToString())
    frozen = freeze(saved.folder, tmp_path)
    assert_same_answers(saved, frozen)
    assert any("of_the_future" in warning for warning in frozen.outcome["warnings"])


def test_an_unknown_op_matters_only_where_the_outputs_need_it(tmp_path: Path) -> None:
    saved = save(tmp_path / "source", networks.plain)
    path = Path(f"{saved.prefix}.meta")
    meta = v1.MetaGraphDef()
    meta.ParseFromString(path.read_bytes())
    meta.graph_def.node.add(name="aside", op="MyCustomOp", input=["y_pred"])
    path.write_bytes(meta.SerializeToString())
    assert_same_answers(saved, freeze(saved.folder, tmp_path))
    with pytest.raises(UnsupportedGraphError, match="MyCustomOp"):
        freeze(saved.folder, tmp_path, outputs=["aside"])


def test_a_counter_on_the_way_is_refused_by_name(tmp_path: Path) -> None:
    def build() -> None:
        calls = v1.get_variable("calls", [])
        x = flat(image_placeholder())
        tf.nn.softmax(dense(x * v1.assign_add(calls, 0.0), 4, "dense"), name="y_pred")

    saved = save(tmp_path / "source", build)
    with pytest.raises(UnsupportedGraphError, match=r"AssignAdd.*save the model again"):
        freeze(saved.folder, tmp_path)


def test_answers_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    def build() -> None:
        logits = dense(flat(image_placeholder()), 4, "dense")
        tf.nn.softmax(logits - 1e30 * tf.exp(logits * 1e30), name="y_pred")

    saved = save(tmp_path / "source", build)
    with pytest.raises(VerificationError, match="NaN"):
        freeze(saved.folder, tmp_path)


def test_steps_are_told_as_they_begin(tmp_path: Path) -> None:
    saved = save(tmp_path / "source", networks.plain)
    log = freeze(saved.folder, tmp_path).log
    steps = [
        FreezeStep.READ,
        FreezeStep.FREEZE,
        FreezeStep.RUN_SOURCE,
        FreezeStep.OPTIMISE,
        FreezeStep.VERIFY,
    ]
    assert [line for line in log if line in set(FreezeStep)] == steps
    assert log[1].startswith("Read the checkpoint")
    assert log[-2].startswith("On 8 samples the largest difference is")
    assert log[-1].startswith("As it is served, it takes")


def test_further_outputs_may_be_anything(tmp_path: Path) -> None:
    def build() -> None:
        networks.plain()
        graph = v1.get_default_graph()
        y_pred, x = graph.get_tensor_by_name("y_pred:0"), graph.get_tensor_by_name("x:0")
        tf.argmax(y_pred, 1, name="best")
        tf.gather(["a", "b", "c", "d"], tf.argmax(y_pred, 1), name="word")
        tf.reduce_mean(x, name="mean")

    outputs = ("y_pred:0", "best:0", "word:0", "mean:0")
    saved = save(tmp_path / "source", build, outputs=outputs)
    frozen = freeze(saved.folder, tmp_path, outputs=outputs)
    found = frozen.answers(saved.images)
    np.testing.assert_array_equal(found[1], saved.expected["best:0"])
    np.testing.assert_array_equal(found[2], saved.expected["word:0"])
    np.testing.assert_allclose(found[3], saved.expected["mean:0"], rtol=1e-6)


def with_other_answers() -> None:
    networks.plain()
    graph = v1.get_default_graph()
    tf.argmax(graph.get_tensor_by_name("y_pred:0"), 1, name="best")
    x = graph.get_tensor_by_name("x:0")
    maps = tf.reshape(x[:, ::2, ::2, :2], [-1, 4, 4, 2], name="maps")
    tf.argmax(maps, 3, name="segments")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"outputs": ["best"]}, "holds int64"),
        ({"outputs": ["maps"], "labels": ["a", "b"]}, r"4x4x2|32 scores"),
        ({"outputs": ["maps"], "scores": "logits"}, "4x4x2"),
        ({"outputs": ["segments"], "labels": ["a", "b"]}, "holds int64"),
    ],
)
def test_a_first_output_without_scores_is_refused_where_scores_are_meant(
    tmp_path: Path, fields: dict[str, Any], words: str
) -> None:
    saved = save(tmp_path / "source", with_other_answers)
    with pytest.raises(FreezeError, match=words) as refused:
        freeze(saved.folder, tmp_path, **fields)
    assert refused.value.code in ("not_scores", "label_count")


@pytest.mark.parametrize("output", ["maps", "segments"])
def test_an_output_that_is_no_row_of_scores_is_frozen_to_be_downloaded(
    tmp_path: Path, output: str
) -> None:
    """As of detectors and of what colours an image's parts."""
    saved = save(tmp_path / "source", with_other_answers, outputs=(f"{output}:0",))
    frozen = freeze(saved.folder, tmp_path, outputs=[output])
    assert frozen.outcome["scores"] is None
    assert frozen.outcome["preprocessing"]["size"] == [networks.SIDE, networks.SIDE]
    assert any("predictions are refused" in warning for warning in frozen.outcome["warnings"])
    assert_same_answers(saved, frozen)


def test_labels_are_counted(tmp_path: Path) -> None:
    saved = save(tmp_path / "source", networks.plain)
    freeze(saved.folder, tmp_path, labels=list("abcd"))
    with pytest.raises(FreezeError, match=r"3 labels.* 4 scores"):
        freeze(saved.folder, tmp_path, labels=list("abc"))


@pytest.mark.parametrize(
    ("shape", "dtype", "words"),
    [
        ([], tf.float32, "no placeholder that could take images"),
        ([None, None, None, 3], tf.float32, "size"),
        ([None], tf.string, "takes text"),
    ],
)
def test_a_model_that_does_not_take_images_is_refused(
    tmp_path: Path, shape: Any, dtype: Any, words: str
) -> None:
    def build() -> None:
        x = v1.placeholder(dtype, shape, name="x")
        count = tf.cast(tf.shape(tf.reshape(x, [-1]))[0], tf.float32)
        tf.reshape(count * v1.get_variable("w", []), [1, 1], name="y_pred")

    saved = save(tmp_path / "source", build, images="w/read:0", outputs=())
    with pytest.raises(FreezeError, match=words):
        freeze(saved.folder, tmp_path)

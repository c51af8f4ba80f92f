"""Every kind of source of TensorFlow 1, with all at once that is hard to freeze."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from tests.unit.freezing.networks import dense, v1
from tests.unit.freezing.saved import Saved, assert_same_answers, freeze, save

STATE_OPS = {"Variable", "VariableV2", "VarHandleOp", "ReadVariableOp", "RestoreV2", "Restore"}


def everything() -> None:
    """Partitioned variables, a branch, a loop, half precision, dropout, moving averages."""
    x = v1.placeholder(tf.float32, [None, 8, 8, 3], name="x")
    is_training = v1.placeholder(tf.bool, [], name="is_training")
    with v1.variable_scope("parts", partitioner=v1.fixed_size_partitioner(3)):
        hidden = dense(tf.reshape(x, [-1, 192]), 6, "dense")
    hidden = v1.cond(is_training, lambda: v1.nn.dropout(hidden, rate=0.5), lambda: hidden * 1.5)
    step = v1.get_variable("step", [6])
    loop = v1.while_loop(
        lambda count, _: count < 3,
        lambda count, value: (count + 1, tf.tanh(value + step)),
        [tf.constant(0), hidden],
    )
    narrow = tf.cast(loop[1], tf.float16)
    logits = tf.cast(dense(narrow, 4, "half"), tf.float32)
    average = v1.train.ExponentialMovingAverage(0.9)
    average.apply(v1.trainable_variables()[:1])
    tf.nn.softmax(logits, name="y_pred")


def old_saver() -> Any:
    return v1.train.Saver(write_version=v1.train.SaverDef.V1)


def as_checkpoint(saved: Saved, _: Path) -> Path:
    return saved.folder


def as_graph_beside(saved: Saved, _: Path) -> Path:
    meta_path = saved.folder / "model.ckpt-7.meta"
    meta = v1.MetaGraphDef.FromString(meta_path.read_bytes())
    meta_path.unlink()
    tf.io.write_graph(meta.graph_def, str(saved.folder), "graph.pbtxt")
    return saved.folder


def restored(saved: Saved, work: Callable[[Any], None]) -> None:
    with tf.Graph().as_default() as graph, v1.Session(graph=graph) as session:
        v1.train.import_meta_graph(f"{saved.prefix}.meta").restore(session, str(saved.prefix))
        work(session)


def as_saved_model(saved: Saved, folder: Path) -> Path:
    def write(session: Any) -> None:
        find = session.graph.get_tensor_by_name
        v1.saved_model.simple_save(
            session, str(folder / "export"), {"image": find("x:0")}, {"scores": find("y_pred:0")}
        )

    restored(saved, write)
    return folder / "export"


def as_frozen_graph(saved: Saved, folder: Path) -> Path:
    def write(session: Any) -> None:
        graph_def = v1.graph_util.convert_variables_to_constants(
            session, session.graph_def, ["y_pred"]
        )
        (folder / "frozen.model").write_bytes(graph_def.SerializeToString())

    restored(saved, write)
    return folder / "frozen.model"


@pytest.mark.parametrize(
    ("saver", "kind", "make"),
    [
        (None, "checkpoint", as_checkpoint),
        (old_saver, "checkpoint", as_checkpoint),
        (None, "checkpoint", as_graph_beside),
        (None, "saved_model", as_saved_model),
        (None, "graph", as_frozen_graph),
    ],
)
@pytest.mark.parametrize("modern", [False, True])
def test_all_that_is_hard_at_once(
    tmp_path: Path,
    saver: Callable[[], Any] | None,
    kind: str,
    make: Callable[[Saved, Path], Path],
    modern: bool,
) -> None:
    saved = save(
        tmp_path / "source",
        everything,
        feeds={"is_training:0": False},
        resource_variables=modern,
        control_flow_v2=modern,
        saver=saver,
    )
    frozen = freeze(make(saved, tmp_path), tmp_path, set={"is_training": False})
    assert frozen.outcome["source"]["kind"] == kind
    assert_same_answers(saved, frozen, tolerance=2e-3)  # half precision
    assert not frozen.ops & (STATE_OPS | {"RandomUniform", "Placeholder_1"})
    if kind != "graph":
        rows = {row["name"]: row["shape"] for row in frozen.outcome["layers"]}
        assert rows["parts/dense/weights"] == [192, 6]

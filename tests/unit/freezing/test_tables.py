"""Lookup tables: frozen as constants that answer as the table did, or refused with the reason."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from freezing.auditing.audit import UnsupportedGraphError
from tests.unit.freezing.networks import dense, v1
from tests.unit.freezing.saved import Frozen, freeze
from tests.unit.freezing.test_signatures import export, images, served

LABELS = ["cat", "dog", "owl", "fox"]
Table = Callable[[Any], Any]  # what numbers stand for, as a tensor


def scored(lookup: Table) -> Callable[[], Any]:
    """Return a builder of a network that names its best classes through a table."""

    def build() -> Any:
        x = v1.placeholder(tf.float32, [None, 8, 8, 3], name="x")
        scores = tf.nn.softmax(dense(tf.reshape(x, [-1, 192]), 4, "dense"), name="scores")
        _, indices = tf.nn.top_k(scores, 3)
        tf.identity(lookup(indices), name="classes")
        return v1.tables_initializer()

    return build


def from_tensors(keys: Any, values: Any, default: Any) -> Table:
    def lookup(indices: Any) -> Any:
        initializer = tf.lookup.KeyValueTensorInitializer(keys, values)
        table = tf.lookup.StaticHashTable(initializer, default)
        return table.lookup(tf.cast(indices, table.key_dtype))

    return lookup


def index_to_string(indices: Any) -> Any:
    """As `tf.contrib.lookup.index_to_string` did: keys by a Range."""
    keys = tf.range(tf.size(tf.constant(LABELS), out_type=tf.int64), dtype=tf.int64)
    return from_tensors(keys, tf.constant(LABELS), "UNK")(indices)


def of_old_ops(indices: Any) -> Any:
    """As TensorFlow before 1.4 did: tables of which handles are texts."""
    table = tf.raw_ops.HashTable(key_dtype=tf.int64, value_dtype=tf.string)
    keys, values = tf.constant([3, 0, 1], tf.int64), tf.constant(["fox", "cat", "dog"])
    filled = tf.raw_ops.InitializeTable(table_handle=table, keys=keys, values=values)
    v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, filled)
    return tf.raw_ops.LookupTableFind(
        table_handle=table, keys=tf.cast(indices, tf.int64), default_value="?"
    )


def of_mutable(indices: Any) -> Any:
    table = tf.raw_ops.MutableHashTableV2(key_dtype=tf.int64, value_dtype=tf.string)
    keys = tf.constant([0, 1, 2, 3], tf.int64)
    filled = tf.raw_ops.LookupTableImportV2(
        table_handle=table, keys=keys, values=tf.constant(LABELS)
    )
    v1.add_to_collection(v1.GraphKeys.TABLE_INITIALIZERS, filled)
    return tf.raw_ops.LookupTableFindV2(
        table_handle=table, keys=tf.cast(indices, tf.int64), default_value="?"
    )


def in_a_loop(indices: Any) -> Any:
    keys = tf.range(4, dtype=tf.int64)
    initializer = tf.lookup.KeyValueTensorInitializer(keys, tf.constant(LABELS))
    table = tf.lookup.StaticHashTable(initializer, "?")
    return tf.map_fn(table.lookup, tf.cast(indices, tf.int64), dtype=tf.string)


SIGNATURE = {"serving_default": ({"x": "x:0"}, {"scores": "scores:0", "classes": "classes:0"})}


def freeze_both(tmp_path: Path, lookup: Table) -> tuple[Frozen, Path]:
    folder = export(tmp_path / "m", scored(lookup), SIGNATURE)
    return freeze(folder, tmp_path, outputs=["scores", "classes"]), folder


def answers_as_before(frozen: Frozen, folder: Path) -> None:
    assert not any("Table" in op for op in frozen.ops)
    fed = images(5, 8, 8, 3)
    scores, classes = frozen.answers(fed)
    np.testing.assert_allclose(scores, served(folder, "scores:0", "x:0", fed), atol=1e-6)
    np.testing.assert_array_equal(classes, served(folder, "classes:0", "x:0", fed))


@pytest.mark.parametrize(
    "lookup",
    [
        index_to_string,
        of_old_ops,
        of_mutable,
        in_a_loop,
        from_tensors([0, 1, 2, 3], [5.0, 6.0, 7.0, 8.0], -1.0),
        from_tensors([30, 2, 1], ["z", "b", "a"], "none"),
        from_tensors(np.arange(4, dtype=np.int32), np.arange(10, 14, dtype=np.int32), -1),
        lambda indices: from_tensors(["0", "2"], [1, 2], -1)(tf.as_string(indices)),
    ],
)
@pytest.mark.parametrize("control_flow_v2", [False, True])
def test_a_lookup_answers_as_the_table_did(
    tmp_path: Path, lookup: Table, control_flow_v2: bool
) -> None:
    v1.enable_control_flow_v2() if control_flow_v2 else v1.disable_control_flow_v2()
    answers_as_before(*freeze_both(tmp_path, lookup))


def vocabulary(tmp_path: Path, content: str, **columns: Any) -> Table:
    path = tmp_path / "labels.txt"
    path.write_text(content)

    def lookup(indices: Any) -> Any:
        initializer = tf.lookup.TextFileInitializer(
            str(path),
            tf.int64,
            columns.get("key", tf.lookup.TextFileIndex.LINE_NUMBER),
            tf.string,
            columns.get("value", tf.lookup.TextFileIndex.WHOLE_LINE),
            delimiter=columns.get("delimiter", "\t"),
        )
        table = tf.lookup.StaticHashTable(initializer, "?")
        return table.lookup(tf.cast(indices, tf.int64))

    return lookup


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("cat\ndog\nred fox\n", {}),
        ("cat\r\ndog\r\nowl", {}),
        ("3,cat,x\n1,dog,y\n", {"key": 0, "value": 1, "delimiter": ","}),
    ],
)
def test_a_table_from_a_text_file_among_the_assets(
    tmp_path: Path, content: str, columns: dict[str, Any]
) -> None:
    frozen, folder = freeze_both(tmp_path, vocabulary(tmp_path, content, **columns))
    (tmp_path / "labels.txt").unlink()
    answers_as_before(frozen, folder)
    asset = next((folder / "assets").iterdir())
    asset.unlink()
    with pytest.raises(UnsupportedGraphError, match=r"its file 'labels\.txt' is not beside"):
        freeze(folder, tmp_path, outputs=["classes"])
    # What does not need the table does not care.
    freeze(folder, tmp_path, outputs=["scores"])


def test_a_table_of_functions_in_a_saved_model_of_tensorflow_2(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("cat\ndog\nowl\nfox\n")

    class Model(tf.Module):  # type: ignore[misc]  # untyped
        def __init__(self) -> None:
            super().__init__()
            initializer = tf.lookup.TextFileInitializer(
                str(tmp_path / "words.txt"), tf.int64, -1, tf.string, -2
            )
            self.words = tf.lookup.StaticHashTable(initializer, "?")
            values = tf.lookup.KeyValueTensorInitializer([0, 1], [5, 6], tf.int64, tf.int64)
            self.numbers = tf.lookup.StaticHashTable(values, -1)
            self.weights = tf.Variable(tf.random.stateless_normal([192, 4], [1, 2]))

        @tf.function(  # type: ignore[untyped-decorator]
            input_signature=[tf.TensorSpec([None, 8, 8, 3], tf.float32, name="x")]
        )
        def call(self, x: Any) -> Any:
            scores = tf.nn.softmax(tf.reshape(x, [-1, 192]) @ self.weights)
            best = tf.argmax(scores, 1)
            return {"a": scores, "b": self.words.lookup(best), "c": self.numbers.lookup(best)}

    model = Model()
    tf.saved_model.save(model, str(tmp_path / "m"), signatures={"serving_default": model.call})
    fed = images(5, 8, 8, 3)
    expected = model.call(tf.constant(fed))
    (tmp_path / "words.txt").unlink()
    frozen = freeze(tmp_path / "m", tmp_path, outputs=["a", "b", "c"])
    assert not any("Table" in op for op in frozen.ops)
    for found, wanted in zip(frozen.answers(fed), expected.values(), strict=True):
        if found.dtype.kind == "f":
            np.testing.assert_allclose(found, wanted.numpy(), atol=1e-6)
        else:
            np.testing.assert_array_equal(found, wanted.numpy())


# -- refused ----------------------------------------------------------------------------------


def changed(indices: Any) -> Any:
    table = tf.raw_ops.MutableHashTableV2(key_dtype=tf.int64, value_dtype=tf.string)
    keys = tf.reshape(tf.cast(indices, tf.int64), [-1])
    inserted = tf.raw_ops.LookupTableInsertV2(
        table_handle=table, keys=keys, values=tf.as_string(keys)
    )
    with tf.control_dependencies([inserted]):
        return tf.raw_ops.LookupTableFindV2(
            table_handle=table, keys=tf.cast(indices, tf.int64), default_value="?"
        )


def computed(indices: Any) -> Any:
    values = v1.get_variable("values", initializer=[1.0, 2.0, 3.0, 4.0])
    return from_tensors(tf.range(4, dtype=tf.int64), values, 0.0)(indices)


@pytest.mark.parametrize(
    ("lookup", "words"),
    [
        (changed, r"changes the table|nothing in the graph says"),
        (computed, r"its content comes from 'values\S*' \(VariableV2\), which is no constant"),
    ],
)
def test_a_table_that_cannot_be_kept_is_refused_with_the_reason(
    tmp_path: Path, lookup: Table, words: str
) -> None:
    with pytest.raises(UnsupportedGraphError, match=words):
        freeze_both(tmp_path, lookup)


# -- labels -----------------------------------------------------------------------------------


def tiled(indices: Any) -> Any:
    """As `tf.estimator` gives the classes of a vocabulary: all of them, for each image."""
    return tf.tile(tf.expand_dims(tf.constant(LABELS), 0), [tf.shape(indices)[0], 1])


def gathered(indices: Any) -> Any:
    return tf.gather(tf.constant(LABELS), indices)


def shuffled(indices: Any) -> Any:
    return from_tensors([2, 0, 3, 1], ["owl", "cat", "fox", "dog"], "?")(indices)


@pytest.mark.parametrize("lookup", [index_to_string, tiled, gathered, shuffled])
def test_the_names_that_a_graph_has_for_its_classes_are_the_labels(
    tmp_path: Path, lookup: Table
) -> None:
    folder = export(tmp_path / "m", scored(lookup), SIGNATURE)
    frozen = freeze(folder, tmp_path, outputs=[])
    assert frozen.outcome["outputs"][0]["name"] == "scores:0"
    assert frozen.outcome["labels"] == LABELS
    assert any("labels are those of" in warning for warning in frozen.outcome["warnings"])
    given = freeze(folder, tmp_path, outputs=[], labels=["a", "b", "c", "d"])
    assert given.outcome["labels"] == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    "lookup",
    [
        from_tensors([0, 1, 2], ["cat", "dog", "owl"], "?"),  # too few
        from_tensors([1, 2, 3, 4], LABELS, "?"),  # not from 0
        from_tensors([0, 1, 2, 3], [5, 6, 7, 8], -1),  # no names
        lambda indices: tf.strings.join([gathered(indices), tf.gather(LABELS[::-1], indices)]),
    ],
)
def test_names_that_may_not_be_those_of_the_scores_are_left_alone(
    tmp_path: Path, lookup: Table
) -> None:
    folder = export(tmp_path / "m", scored(lookup), SIGNATURE)
    frozen = freeze(folder, tmp_path, outputs=["scores"])
    assert frozen.outcome["labels"] is None

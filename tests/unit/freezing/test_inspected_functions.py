"""What an inspection says of SavedModels of TensorFlow 2, whose networks are in functions."""

from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf

from freezing.choosing.plan import NoOutputsError, make_plan
from freezing.sources.opening import open_source
from tests.unit.freezing.looking import codes, look
from tests.unit.freezing.networks import SIDE
from worker.contract.source_requests import FreezeRequest
from worker.sources.choice import SourceChoice


class Heads(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """A network in functions, with what it answers under names of its signature."""

    def __init__(self) -> None:
        self.weights = [tf.Variable(tf.ones([SIDE * SIDE * 3, width])) for width in (4, 2)]

    @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32)])  # type: ignore[untyped-decorator]  # as above
    def one(self, image: Any) -> dict[str, Any]:
        logits = tf.matmul(tf.reshape(image / 255.0, [-1, SIDE * SIDE * 3]), self.weights[0])
        return {"a": logits, "b": tf.nn.softmax(logits), "c": tf.argmax(logits, 1)}

    @tf.function(input_signature=[tf.TensorSpec([None, SIDE, SIDE, 3], tf.float32)])  # type: ignore[untyped-decorator]  # as above
    def two(self, image: Any) -> dict[str, Any]:
        flat_image = tf.reshape(image, [-1, SIDE * SIDE * 3])
        age, gender = (tf.matmul(flat_image, weights) for weights in self.weights)
        return {"age": tf.nn.softmax(age), "gender": tf.sigmoid(gender)}


@pytest.fixture(scope="module")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("heads") / "model"
    model = Heads()
    signatures = {"serving_default": model.one, "two": model.two}
    tf.saved_model.save(model, str(folder), signatures=signatures)
    return folder


def test_what_functions_compute_ranks_the_outputs_of_a_signature(heads: Path) -> None:
    found = look(open_source(heads))
    assert found.choice.clear
    assert found.outputs[0].op == "Softmax"
    assert found.outputs[0].reasons[0] == "output 'b' of the signature 'serving_default'"
    decided = next(one for one in found.outputs if one.op == "ArgMax")
    assert decided.name == found.signatures[0].outputs["c"]
    # The graph divides by 255 in a function.
    assert found.preprocessing.fields["scale"] == 1.0


def test_two_answers_of_one_signature_are_listed(heads: Path) -> None:
    source = open_source(heads, SourceChoice(signature="two"))
    found = look(source, signature="two")
    assert not found.choice.clear
    assert {one.op for one in found.outputs[:2]} == {"Softmax", "Sigmoid"}
    assert "no_outputs" in codes(found, "warning")
    with pytest.raises(NoOutputsError):
        make_plan(source, FreezeRequest.parse({"name": "m", "signature": "two"}))

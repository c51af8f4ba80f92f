"""What an inspection counts: what a freeze keeps and drops, signatures, and its document."""

from freezing.sources.source import Signature, Source
from tests.unit.freezing import networks
from tests.unit.freezing.looking import look
from tests.unit.freezing.networks import SIDE
from tests.unit.freezing.test_choosing import source_of
from tests.unit.freezing.usual_networks import inception_2015, two_answers
from worker.models.inspection import Inspection


def test_what_is_kept_and_dropped_is_counted_in_numbers_and_bytes() -> None:
    found = look(networks.trained)
    weights = SIDE * SIDE * 3 * 4 + 4
    assert (found.parameters.total, found.parameters.kept) == (weights, weights)
    assert found.parameters.kept_bytes == 4 * weights
    layer = found.parameters.layers[0]
    assert (layer.name, layer.variables) == ("dense", ["weights 192x4", "biases 4"])
    dropped = {one.kind: one for one in found.dropped}
    # Two slots for each of the two variables, and two powers.
    assert dropped["optimizer_slots"].nodes == 6
    assert dropped["optimizer_slots"].bytes > 8 * weights
    assert dropped["gradients"].nodes > 0
    assert dropped["summaries"].nodes > 0
    assert found.predicted is not None
    assert found.predicted.parameters == weights
    assert 4 * weights < found.predicted.bytes < 4 * weights + 2000


def test_branches_that_only_training_takes_are_not_predicted() -> None:
    found = look(networks.with_batch_norm)
    assert found.predicted is not None
    # The moving averages stay, and what updates them goes.
    assert found.parameters.kept == 3 * 3 * 3 * 4 + 4 * 4 + 64 * 4 + 4
    assert found.predicted.nodes < 40


def test_parameters_of_a_frozen_graph_are_its_constants() -> None:
    found = look(inception_2015)
    assert found.parameters.total == found.parameters.kept == 108 + 4 * 1008


def test_the_answer_of_a_signature_comes_first() -> None:
    opened = source_of(two_answers)
    signature = Signature(
        name="serving_default",
        method="tensorflow/serving/predict",
        inputs={"image": "x:0"},
        outputs={"gender": "gender/predictions:0"},
    )
    source = Source(
        **{**vars(opened), "signatures": (signature,), "labels": ["woman", "man"]},
    )
    found = look(source)
    assert found.choice.outputs == ["gender/predictions:0"]
    assert found.outputs[0].reasons[0] == "output 'gender' of the signature 'serving_default'"
    assert found.inputs[0].reasons[0] == "an input of the signature"
    assert found.labels == 2
    assert found.signatures[0].inputs == {"image": "x:0"}


def test_the_document_keeps_its_shape() -> None:
    document = look(networks.trained).model_dump(mode="json")
    assert list(document) == list(Inspection.model_fields)
    assert Inspection.model_validate(document).model_dump(mode="json") == document

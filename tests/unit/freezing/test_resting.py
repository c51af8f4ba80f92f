"""What was stated, what is known of a model, and which of them a field of its preprocessing is."""

from typing import Any

import pytest

from freezing.choosing.preprocessing_basis import resolved
from freezing.choosing.preprocessing_guess import Field, Guess
from worker.models.basis import BasisKind
from worker.models.manifest import Tensor
from worker.models.preprocessing import PreprocessingSpec

INPUT = Tensor(name="x:0", dtype="float32", shape=[None, 8, 8, 3])
OPENCV = {"preset": "zero_one", "color": "bgr", "resize": "crop", "filter": "cv2_linear"}


def prepared(asked: Any, known: Any, kind: BasisKind, *read: Field) -> Any:
    guess = Guess(
        spec=PreprocessingSpec.parse(known),
        kind=kind,
        kinds=dict.fromkeys(read, "read"),
        reasons=["as shown"],
    )
    return resolved(PreprocessingSpec.parse(asked), guess, INPUT)


@pytest.mark.parametrize("kind", ["recognised", "assumed"])
def test_who_states_a_scaling_states_all_that_others_usually_do(kind: BasisKind) -> None:
    found, basis = prepared("zero_one", OPENCV, kind)
    assert (found.color, found.resize, found.filter) == ("rgb", "stretch", "bilinear")
    assert basis.fields == {"scaling": "stated", "color": "stated", "size": "read"}
    assert (basis.kind, basis.reasons, basis.alternatives) == ("stated", [], [])


def test_what_the_graph_shows_is_taken_beside_a_stated_scaling() -> None:
    found, basis = prepared("raw", OPENCV, "recognised", "color", "filter")
    assert (found.color, found.resize, found.filter) == ("bgr", "stretch", "cv2_linear")
    assert basis.fields["color"] == "read"
    assert basis.reasons == ["as shown"]


def test_what_is_known_is_taken_where_no_scaling_is_stated() -> None:
    found, basis = prepared({"size": [8, 8]}, OPENCV, "recognised")
    assert (found.color, found.resize, found.filter) == ("bgr", "crop", "cv2_linear")
    assert (basis.kind, basis.reasons) == ("recognised", ["as shown"])
    found, basis = prepared({"color": "rgb"}, OPENCV, "recognised")
    assert (found.color, found.filter, basis.fields["color"]) == ("rgb", "cv2_linear", "stated")


def test_what_does_not_fit_the_input_is_no_knowledge_of_it() -> None:
    found, basis = prepared(None, {"preset": "raw", "color": "gray"}, "recognised")
    assert (found.color, found.scale) == ("rgb", 1 / 255)
    assert basis.assumed == ["scaling", "color"]

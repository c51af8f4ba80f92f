"""On what a preprocessing rests, and what is said of it."""

import shlex

import pytest

from worker.models.alternatives import usual
from worker.models.assumptions import assumption, choices, known, option_text
from worker.models.basis import Alternative, Aspect, Basis, BasisKind, least, stated_in
from worker.models.preprocessing import PRESETS, Preprocessing, PreprocessingSpec

PLAIN = Preprocessing(size=(8, 6))


@pytest.mark.parametrize(
    ("spec", "stated"),
    [
        ({}, set()),
        ({"size": [8, 6]}, {"size"}),
        ({"color": "bgr"}, {"color"}),
        ({"resize": "crop", "layout": "NHWC"}, set()),
        ("zero_one", {"scaling", "color"}),
        ("caffe", {"scaling", "color"}),
        ({"scale": 0.5}, {"scaling", "color"}),
    ],
)
def test_only_what_is_said_is_stated(spec: object, stated: set[Aspect]) -> None:
    assert stated_in(PreprocessingSpec.parse(spec)) == stated


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"scaling": "stated", "color": "stated", "size": "read"}, "stated"),
        ({"scaling": "stated", "color": "recognised"}, "recognised"),
        ({"scaling": "read", "color": "assumed"}, "assumed"),
        ({"scaling": "read", "size": "assumed"}, "assumed"),
        ({"scaling": "proven", "color": "proven", "size": "stated"}, "proven"),
    ],
)
def test_the_whole_is_believed_as_its_weakest_part(
    fields: dict[Aspect, BasisKind], kind: BasisKind
) -> None:
    assert least(fields) == kind


def test_a_sentence_names_what_is_assumed_and_ends_with_what_to_type() -> None:
    fields: dict[Aspect, BasisKind] = {"scaling": "assumed", "color": "stated", "size": "read"}
    basis = Basis(kind="assumed", fields=fields)
    said = assumption("cats", PLAIN, basis)
    assert said is not None
    assert "values from 0 to 1" in said
    assert "red" not in said
    assert said.endswith("type `./permafrost models cats`.")
    assert known(PLAIN, basis)[2] == "8 x 6 pixels: read from the graph"
    assert assumption("cats", PLAIN, basis.model_copy(update={"kind": "stated"})) is None
    assert assumption("cats", PLAIN, None) is assumption("cats", None, basis) is None


@pytest.mark.parametrize("preset", [None, *PRESETS])
def test_what_is_usual_never_is_what_it_is_already(preset: str | None) -> None:
    fields = {"size": (8, 6), **(PRESETS[preset] if preset else {"scale": 0.5})}
    found = Preprocessing(**fields)
    others = [one.preprocessing for one in usual(found, ["scaling", "color"])]
    assert preset not in [other.preset for other in others if other.preset]
    assert others[0].color == ("rgb" if found.color == "bgr" else "bgr")
    basis = Basis(kind="assumed", fields={"scaling": "assumed", "color": "assumed"})
    (right,) = choices("./permafrost models cats", found, basis)
    again = PreprocessingSpec.parse(right.preprocessing)
    assert again.color == found.color
    assert again.preset == preset
    if preset is None:
        assert (again.scale, again.mean, again.std) == (found.scale, found.mean, found.std)


def test_a_gray_image_has_no_order_of_colours() -> None:
    gray = Preprocessing(size=(8, 6), color="gray")
    others = [one.preprocessing.preset for one in usual(gray, ["scaling", "color"])]
    assert {"minus_one_one", "raw"} <= {*others}
    assert not {"zero_one", "caffe", "imagenet"} & {*others}


def test_a_command_is_typed_as_it_stands() -> None:
    other = Alternative(preprocessing=PreprocessingSpec(color="bgr"), reason="it is so")
    basis = Basis(kind="assumed", fields={"color": "assumed"}, alternatives=[other])
    command = choices("./permafrost models cats@2", PLAIN, basis)[1].command
    assert shlex.split(command)[2:] == ["cats@2", "--preprocessing", '{"color": "bgr"}']
    assert option_text({"preset": "raw"}) == "raw"


def test_what_is_chosen_of_the_scaling_leaves_a_known_order_of_colours() -> None:
    found = Preprocessing(size=(8, 6), color="bgr")
    others = [one.preprocessing for one in usual(found, ["scaling"])]
    assert {"minus_one_one", "raw", "caffe"} <= {other.preset for other in others}
    assert {other.color for other in others} == {"bgr"}
    rgb = [one.preprocessing.preset for one in usual(PLAIN, ["scaling"])]
    assert "imagenet" in rgb
    assert "caffe" not in rgb  # its colours are blue, green, red

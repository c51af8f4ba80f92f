"""Deciding by examples: a network of which it is known how it was fed, here in numpy."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from freezing.graph.content import Content, Trace
from freezing.proving.grid import candidate_of, geometries, kinds, scalings
from freezing.proving.proof import basis_of, prior_of, proof_of
from freezing.proving.prove import Decision, Prover
from freezing.proving.refusals import ExamplesDoNotFitError, OtherOrderError
from freezing.proving.scoring import Scoring
from worker.images.decode import Limits
from worker.images.examples import Example
from worker.models.basis import Alternative, Basis
from worker.models.manifest import Tensor
from worker.models.preprocessing import (
    PRESETS,
    Color,
    Preprocessing,
    PreprocessingSpec,
    Preset,
    resolve_preprocessing,
)

Floats = npt.NDArray[np.float64]
COLORS = {
    "blue": (80, 110, 200),
    "dark": (35, 30, 35),
    "dim": (75, 75, 75),
    "red": (200, 90, 80),
    "yellow": (200, 190, 60),
}
LABELS = list(COLORS)
SIDE = 8
ASSUMED = Preprocessing(size=(SIDE, SIDE))
BASIS = Basis(kind="assumed", fields={"scaling": "assumed", "color": "assumed", "size": "read"})


def network(x: npt.NDArray[Any]) -> Floats:
    """Tell pictures by their colours, as they come from OpenCV and with values from -1 to 1."""
    means = x.mean(axis=(1, 2), dtype=np.float64)[:, ::-1]
    known = np.array([*COLORS.values()]) / 127.5 - 1
    logits = -20 * ((means[:, None] - known) ** 2).sum(axis=2)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float64)


@pytest.fixture(scope="module")
def examples(tmp_path_factory: pytest.TempPathFactory) -> list[Example]:
    """Ten pictures for each label, none of the network's size."""
    folder = tmp_path_factory.mktemp("examples")
    random = np.random.default_rng(7)
    found = []
    for label, color in COLORS.items():
        for number in range(10):
            path = folder / f"{label}-{number}.png"
            noise = random.normal(color, 25, size=(11, 13, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noise).save(path)
            found.append(Example(path=path, label=label))
    return found


def decide(
    examples: list[Example],
    network: Callable[[Any], Floats] = network,
    *,
    base: Preprocessing = ASSUMED,
    basis: Basis = BASIS,
    held: frozenset[str] = frozenset(),
    resizing: bool = False,
    labels: list[str] | None = LABELS,
) -> tuple[Decision, Prover]:
    prover = Prover(examples, base, np.float32, Limits())
    prior = prior_of(base, basis)
    held |= frozenset() if resizing else {"resize", "filter"}
    return prover.decide(network, labels=labels, held=held, prior=prior), prover


def test_ten_of_each_label_prove_values_and_colours(examples: list[Example]) -> None:
    decision, prover = decide(examples, resizing=True)
    found = decision.taken.candidate.preprocessing
    assert (found.color, found.scale, found.mean) == ("bgr", 1 / 127.5, [1.0])
    basis = basis_of(decision, BASIS)
    assert (basis.kind, basis.assumed, basis.alternatives) == ("proven", [], [])
    assert "50 of 50 examples are right" in basis.reasons[0]
    proof = proof_of(decision, prover)
    assert proof.clear
    taken = next(one for one in proof.candidates if one.taken)
    assert (taken.right, taken.of) == (50, 50)
    assert taken.odds is not None
    assert taken.odds < 20
    assert taken.preprocessing == PreprocessingSpec(preset="minus_one_one", color="bgr")
    assert {one.called for one in proof.candidates} >= {"values from 0 to 1, RGB"}
    assert len(proof.candidates) > len(decision.values)  # ways of resizing were tried as well


def test_what_a_person_stated_is_held(examples: list[Example]) -> None:
    fields: Any
    decision, _ = decide(examples, held=frozenset({"color"}))
    assert {one.candidate.preprocessing.color for one in decision.values} == {"rgb"}
    assert decision.taken.score.right < 50
    stated = ASSUMED.model_copy(update={"scale": 1 / 127.5, "mean": [1.0]})
    fields = {"scaling": "stated", "color": "assumed"}
    decision, _ = decide(examples, base=stated, held=frozenset({"scale", "mean"}))
    assert {one.candidate.preprocessing.scale for one in decision.values} == {1 / 127.5}
    basis = basis_of(decision, Basis(kind="assumed", fields=fields))
    assert (basis.fields, basis.kind) == ({"scaling": "stated", "color": "proven"}, "proven")


def test_with_one_label_nothing_is_proven(examples: list[Example]) -> None:
    decision, _ = decide([one for one in examples if one.label == "blue"])
    assert not decision.verdict.is_clear
    assert decision.tied
    basis = basis_of(decision, BASIS)
    assert basis.kind == "assumed"
    assert basis.alternatives
    assert "do not decide" in " ".join(basis.reasons)


def test_what_examples_do_not_tell_apart_is_decided_by_what_was_known(
    examples: list[Example],
) -> None:
    def of_light(x: npt.NDArray[Any]) -> Floats:
        """Tell dark pictures from red ones by their light: the order of colours does not matter."""
        light = x.mean(axis=(1, 2, 3), dtype=np.float64)
        logits = np.stack([-((light + 0.74) ** 2), -((light + 0.03) ** 2)], axis=1) * 9
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True), np.float64)

    pictures = [one for one in examples if one.label in ("dark", "red")]
    usual = Alternative(preprocessing=PreprocessingSpec(color="bgr"), reason="cv2.imread")
    for basis, color in (
        (BASIS, "rgb"),
        (BASIS.model_copy(update={"fields": {"color": "recognised"}}), "rgb"),
        (BASIS.model_copy(update={"alternatives": [usual]}), "rgb"),
    ):
        decision, _ = decide(pictures, of_light, basis=basis, labels=["dark", "red"])
        assert decision.taken.candidate.preprocessing.color == color
        assert not decision.verdict.color_is_clear
        assert "bgr" in [one.candidate.preprocessing.color for one in decision.tied]
    assert "color" in basis_of(decision, BASIS).assumed


def test_one_of_each_label_is_enough_for_a_guess_and_says_so(examples: list[Example]) -> None:
    decision, _ = decide(examples[::10])
    assert decision.taken.candidate.preprocessing.color == "bgr"
    assert basis_of(decision, BASIS).kind in ("assumed", "proven")
    assert decision.taken.score.right == 5


def test_what_is_common_is_not_taken_where_it_does_no_better_than_guessing(
    examples: list[Example],
) -> None:
    def unsure(x: npt.NDArray[Any]) -> Floats:
        """Tell red from blue, but for values from 0 to 255 with little to choose between them."""
        shares = network(x / 127.5 - 1)[:, [0, 3]]
        right = 0.62 if x.max() > 2 else 0.99
        found = np.where(shares == shares.max(axis=1, keepdims=True), right, 1 - right)
        return found if x.max() > 2 else np.tile([0.99, 0.01], (len(x), 1))

    known = BASIS.model_copy(update={"fields": {"scaling": "recognised", "color": "recognised"}})
    pictures = [one for one in examples if one.label in ("blue", "red")][::10]
    decision, _ = decide(pictures, unsure, basis=known, labels=["blue", "red"])
    assert decision.taken.candidate.preprocessing.scale == 1
    assert decision.taken.score.right == 2
    assert not decision.verdict.is_clear


def test_examples_of_something_else_are_refused(examples: list[Example]) -> None:
    def always(x: npt.NDArray[Any]) -> Floats:
        return np.tile([0.96, 0.01, 0.01, 0.01, 0.01], (len(x), 1))

    with pytest.raises(ExamplesDoNotFitError, match="10 of 50 are right at best") as caught:
        decide(examples, always)
    assert "What was stated was held" in caught.value.message
    assert "--labels" in caught.value.message
    assert "Leave the examples out" in caught.value.message


def test_labels_in_another_order_are_refused_with_the_order_that_fits(
    examples: list[Example],
) -> None:
    with pytest.raises(OtherOrderError, match=r"50 of 50 are right") as caught:
        decide(examples, labels=["dark", "red", "dim", "yellow", "blue"])
    assert "printf '%s\\n' blue dark dim red yellow > labels.txt" in caught.value.message


def test_without_labels_the_examples_give_them_in_the_order_of_the_classes(
    examples: list[Example],
) -> None:
    assert decide(examples, labels=None)[0].labels == LABELS

    def turned(x: npt.NDArray[Any]) -> Floats:
        return network(x)[:, [3, 0, 1, 2, 4]]

    assert decide(examples, turned, labels=None)[0].labels == [
        "red",
        "blue",
        "dark",
        "dim",
        "yellow",
    ]


def test_a_network_without_numbers_is_no_reason_to_fail_otherwise(examples: list[Example]) -> None:
    def broken(x: npt.NDArray[Any]) -> Floats:
        return np.where(x.max() > 2, np.nan, 1.0) * network(x)

    decision, _ = decide(examples, broken)
    assert decision.verdict.is_clear


def test_the_grid_has_each_way_once_and_centred_values_are_those_from_minus_one_to_one() -> None:
    found = scalings(ASSUMED, frozenset(), np.float32)
    assert len(found) == 2 * len(PRESETS)
    assert len({one.preprocessing.model_dump_json() for one in found}) == len(found)
    assert len(set(kinds(found))) == len(found) - 2
    assert [one.called for one in scalings(ASSUMED, frozenset(), np.uint8)] == [
        *("values from 0 to 1, RGB", "values from 0 to 255, RGB", "values from 0 to 255, BGR")
    ]
    gray = ASSUMED.model_copy(update={"color": "gray"})
    assert {one.preprocessing.color for one in scalings(gray, frozenset(), np.float32)} == {"gray"}
    ways = geometries(found[0], frozenset({"filter"}))
    assert [way.preprocessing.resize for way in ways] == ["stretch", "crop", "pad"]


def test_means_of_channels_keep_to_their_colours() -> None:
    caffe = ASSUMED.model_copy(
        update={"scale": 1.0, "mean": [103.939, 116.779, 123.68], "color": "bgr"}
    )
    turned = [
        one for one in scalings(caffe, frozenset(), np.float32) if one.preprocessing.scale == 1
    ]
    rgb = next(one for one in turned if one.spec.preset == "caffe" and one.spec.color == "rgb")
    assert rgb.preprocessing.mean == [123.68, 116.779, 103.939]
    assert rgb.is_scaled_alike(candidate_of(caffe))
    assert not rgb.is_alike(candidate_of(caffe))


def test_unreadable_examples_are_left_out_and_named(
    examples: list[Example], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff" + bytes(100))
    decision, prover = decide([*examples, Example(path=broken, label="red")])
    assert len(decision.classes) == 50
    assert "'broken.jpg'" in proof_of(decision, prover).unreadable[0]


@pytest.mark.parametrize("mixing", [False, True])
def test_pictures_that_would_change_each_other_are_run_one_by_one(mixing: bool) -> None:
    sizes = []

    def run(batch: npt.NDArray[Any]) -> list[Any]:
        sizes.append(len(batch))
        bright = batch.mean(axis=(1, 2, 3)) - (batch.mean() if mixing else 0.5)
        return [np.stack([bright, -bright], axis=1)]

    tensor = Tensor(name="x:0", shape=[None, SIDE, SIDE, 3], dtype="float32")
    plan: Any = SimpleNamespace(
        input=tensor, outputs=[Tensor(name="y:0", shape=None, dtype="")], loss=None
    )
    scoring = Scoring(run, plan, "logits", Trace(sources={"y": Content.LINEAR}))
    inputs = np.random.default_rng(1).random((20, SIDE, SIDE, 3), np.float32)
    assert scoring(inputs).shape == (20, 2)
    assert scoring.at_once == (1 if mixing else 16)
    sizes.clear()
    scoring(inputs)
    assert set(sizes) == {scoring.at_once}


@pytest.mark.parametrize("color", ["rgb", "bgr"])
@pytest.mark.parametrize("preset", ["zero_one", "raw", "caffe"])
def test_nothing_is_likelier_beforehand_than_what_is_taken_with_nothing_said(
    preset: Preset, color: Color
) -> None:
    asked = PreprocessingSpec(preset=preset, color=color)
    base = resolve_preprocessing(asked, [None, 8, 8, 3], "float32")
    basis = Basis(kind="assumed", fields={"scaling": "assumed", "color": "assumed"})
    prior = prior_of(base, basis)
    own = prior(candidate_of(base))
    for other in scalings(base, frozenset(), np.dtype("float32")):
        if not other.is_alike(candidate_of(base)):
            assert prior(other) < own, other.called

"""What examples say for and against ways of preparing images: the rule itself."""

import numpy as np
import pytest

from freezing.proving import evidence as rule
from freezing.proving.class_order import find_orders
from freezing.proving.classes import ExampleLabelError, classes_of
from freezing.proving.evidence import (
    evidence,
    is_clear,
    likeliest,
    of_guessing,
    plausibility,
    score,
)
from worker.errors import FreezeError


def _answers(classes: list[int], count: int, sure: float = 0.9) -> np.ndarray:
    """Return scores that give each class this share, and the rest to all others alike."""
    rows = np.full((len(classes), count), (1 - sure) / (count - 1))
    rows[np.arange(len(classes)), classes] = sure
    return rows


def test_what_is_right_and_likely_is_counted() -> None:
    classes = np.array([0, 1, 2, 0])
    found = score(_answers([0, 1, 2, 1], 3), classes)
    assert found.right == 3
    assert found.log_likelihood == pytest.approx((3 * np.log(0.9) + np.log(0.05)) / 4)


def test_equal_scores_are_not_right_and_no_numbers_count_for_nothing() -> None:
    assert score(np.full((2, 4), 0.25), np.array([0, 3])).right == 0
    broken = score(np.array([[np.nan, np.inf], [np.nan, np.nan]]), np.array([0, 1]))
    assert broken.right <= 1
    assert np.isfinite(broken.evidence)


def test_one_mislabelled_example_does_not_overturn_many() -> None:
    classes = np.array([0, 1] * 10)
    sure = score(_answers([1, 1, *[0, 1] * 9], 2, sure=1 - 1e-9), classes)  # the first is wrong
    vague = score(_answers([0, 1] * 10, 2, sure=0.55), classes)
    assert sure.log_likelihood < vague.log_likelihood
    assert sure.evidence > vague.evidence


def test_a_network_that_always_answers_the_same_is_no_better_than_guessing() -> None:
    classes = np.array([0, 1] * 10)
    always = score(_answers([0] * 20, 2, sure=1 - 1e-6), classes)
    assert always.evidence < of_guessing(20, 2)
    right = score(_answers([0, 1] * 10, 2), classes)
    assert right.evidence > of_guessing(20, 2) + np.log(20)


def test_nothing_is_clear_by_a_hair_and_all_rivals_count_together() -> None:
    classes = np.array([0, 1, 2] * 4)
    best, other = (score(_answers([0, 1, 2] * 4, 3, sure=sure), classes) for sure in (0.9, 0.8))
    assert not is_clear([best, other], 0, {1: 1})
    worse = score(_answers([0, 1, 1] * 4, 3), classes)
    assert is_clear([best, worse], 0, {1: 1})
    gap = best.evidence - worse.evidence
    many = {place: place for place in range(1, 2 + int(np.exp(gap) / 20))}
    assert not is_clear([best, *[worse] * len(many)], 0, many)
    assert is_clear([best, *[worse] * len(many)], 0, dict.fromkeys(many, 1))  # one kind


def test_what_was_known_before_decides_where_examples_do_not() -> None:
    same = score(_answers([0, 1], 2), np.array([0, 1]))
    assert likeliest([same, same, same], [1.0, 3.0, 1.0]) == 1
    worse = score(_answers([0, 1] * 10, 2, sure=0.2), np.array([0, 1] * 10))
    better = score(_answers([0, 1] * 10, 2), np.array([0, 1] * 10))
    assert likeliest([better, worse], [1.0, 20.0]) == 0


def test_without_doubts_of_temperature_evidence_is_an_integral_over_those_of_reliability(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rule, "_TEMPERATURE_WEIGHTS", (rule._OCTAVES == 0).astype(float))
    # Over e, (1 - e) p + e / 2 with p = 0.8: the mean of 0.8 - 0.3 e is 0.65.
    found = evidence(np.array([[0.8, 0.2]]), np.array([0]))
    assert np.exp(found) == pytest.approx(0.65, abs=1e-3)


def test_being_perfectly_sure_is_no_clear_advantage_however_many_examples_there_are() -> None:
    classes = np.array([0, 1, 2] * 60)
    sure, usual, vague = (
        score(_answers(classes.tolist(), 3, sure=share), classes) for share in (1, 0.8, 0.34)
    )
    assert not is_clear([sure, usual], 0, {1: 1})
    assert is_clear([usual, vague], 0, {1: 1})  # which hardly prefers anything
    perfectly, usually, hardly = (
        plausibility(_answers([0, 1], 3, sure=share)) for share in (1, 0.99, 0.334)
    )
    assert usually > 5 * perfectly
    assert usually > 5 * hardly


def test_labels_are_found_as_people_spell_them() -> None:
    labels = ["Golden Retriever", "tabby", "007"]
    found, made_up = classes_of(["golden_retriever", "TABBY", "007"], labels, 3)
    assert (found.tolist(), made_up) == ([0, 1, 2], None)
    assert classes_of(["1", "cat"], ["cat", "dog"], 2)[0].tolist() == [1, 0]
    with pytest.raises(ExampleLabelError):  # which is a label, and not the number of one
        classes_of(["1"], labels, 3)
    with pytest.raises(ExampleLabelError, match="'dog' is not among the model's 3 labels"):
        classes_of(["tabby", "dog"], labels, 3)


def test_without_labels_those_of_the_examples_are_taken_in_the_order_of_the_alphabet() -> None:
    found, made_up = classes_of(["dog", "cat", "dog"], None, 2)
    assert (found.tolist(), made_up) == ([1, 0, 1], ["cat", "dog"])
    found, made_up = classes_of(["1", "0"], None, 2)
    assert (found.tolist(), made_up) == ([1, 0], None)
    with pytest.raises(FreezeError, match="has 3 classes and no labels"):
        classes_of(["dog", "cat"], None, 3)


def test_another_order_of_labels_is_seen_where_each_class_shows_it() -> None:
    classes = np.array([0, 0, 1, 1, 2, 2])
    turned = _answers([1, 1, 2, 2, 0, 0], 4)
    (other,) = find_orders([_answers([3] * 6, 4), turned], classes)
    assert (other.order, other.candidate, other.score.right) == ([2, 0, 1, 3], 1, 6)
    assert other.labels(["a", "b", "c", "d"]) == ["c", "a", "b", "d"]
    assert find_orders([_answers([0, 0, 1, 1, 2, 2], 4)], classes) == []
    assert find_orders([_answers([1, 0], 2)], np.array([0, 1])) == []  # one each shows nothing

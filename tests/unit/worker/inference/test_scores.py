"""Scores: a network's output to ranked predictions. Needs no TensorFlow."""

import math

import numpy as np
import pytest

from worker.inference.scores import rank, to_scores


def _rows(*rows: list[float]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.array(rows, np.float32)


def test_probabilities_stay_as_they_are() -> None:
    rows = _rows([0.25, 0.75], [0.9, 0.2])
    assert np.array_equal(to_scores(rows, "probabilities"), rows)


def test_logits_become_probabilities() -> None:
    (row,) = to_scores(_rows([1.0, 2.0, 3.0]), "logits")
    total = sum(math.exp(v) for v in (1, 2, 3))
    assert row.tolist() == pytest.approx([math.exp(v) / total for v in (1, 2, 3)], rel=1e-6)


def test_independent_logits_become_a_probability_each() -> None:
    (row,) = to_scores(_rows([-2.0, 0.0, 3.0]), "sigmoid")
    assert row.tolist() == pytest.approx([1 / (1 + math.exp(-v)) for v in (-2, 0, 3)], rel=1e-6)


@pytest.mark.parametrize("kind", ["logits", "sigmoid"])
def test_large_numbers_do_not_overflow(kind: str) -> None:
    (row,) = to_scores(_rows([1e4, -1e4, 0.0]), kind)  # type: ignore[arg-type]  # one of them
    assert np.isfinite(row).all()
    assert row[0] == pytest.approx(1.0)
    assert row[1] == pytest.approx(0.0)


def test_each_image_has_scores_of_its_own() -> None:
    rows = to_scores(_rows([0.0, 0.0], [100.0, 0.0]), "logits")
    assert rows.tolist() == [pytest.approx([0.5, 0.5]), pytest.approx([1.0, 0.0])]


def test_the_best_come_first_and_only_as_many_as_asked_for() -> None:
    scores = _rows([0.1, 0.6, 0.3])[0]
    assert rank(scores, ["a", "b", "c"], 2) == [
        {"label": "b", "score": pytest.approx(0.6)},
        {"label": "c", "score": pytest.approx(0.3)},
    ]
    assert len(rank(scores, ["a", "b", "c"], 100)) == 3


def test_equal_scores_stay_in_the_order_of_the_classes() -> None:
    scores = np.full(5, 0.2, np.float32)
    assert [row["label"] for row in rank(scores, list("abcde"), 5)] == list("abcde")


def test_classes_without_a_label_are_called_by_their_number() -> None:
    scores = _rows([0.1, 0.6, 0.3])[0]
    assert [row["label"] for row in rank(scores, None, 3)] == ["1", "2", "0"]
    assert [row["label"] for row in rank(scores, ["a"], 3)] == ["1", "2", "a"]


def test_one_score_with_two_labels_is_that_of_the_second() -> None:
    assert rank(_rows([0.9])[0], ["cat", "dog"], 5) == [
        {"label": "dog", "score": pytest.approx(0.9)},
        {"label": "cat", "score": pytest.approx(0.1)},
    ]
    assert rank(_rows([0.9])[0], None, 5) == [{"label": "0", "score": pytest.approx(0.9)}]


def test_scores_are_plain_numbers_that_json_can_hold() -> None:
    (row,) = rank(_rows([0.5])[0], ["a"], 1)
    assert type(row["score"]) is float

"""Whether two systems say the same of a photograph."""

from pathlib import Path

import pytest
from PIL import Image

from tests.bench.answers_compared import difference, disagreement, right_labels, tolerance


def said(**scores: float) -> list[dict[str, object]]:
    ordered = sorted(scores.items(), key=lambda one: -one[1])
    return [{"label": label, "score": score} for label, score in ordered]


OURS = said(cat=0.9, dog=0.1)


def test_the_same_answer_is_no_disagreement() -> None:
    assert disagreement(OURS, said(cat=0.9005, dog=0.0995), 1e-3) is None


@pytest.mark.parametrize(
    "theirs", [said(cat=0.8, dog=0.2), said(dog=0.9, cat=0.1), [], said(bird=0.9, cat=0.1)]
)
def test_other_scores_are(theirs: list[dict[str, object]]) -> None:
    assert disagreement(OURS, theirs, 1e-3)


def test_two_best_scores_that_nobody_can_tell_apart_may_change_places() -> None:
    ours, theirs = said(cat=0.5002, dog=0.4998), said(cat=0.4998, dog=0.5002)
    assert right_labels(ours, 1e-3) == ["cat", "dog"]
    assert disagreement(ours, theirs, 1e-3) is None
    assert right_labels(OURS, 1e-3) == ["cat"]


def test_labels_at_the_end_may_differ_where_scores_hardly_do() -> None:
    ours = said(a=0.5, b=0.3, c=0.1001)
    assert difference(ours, said(a=0.5, b=0.3, d=0.1002)) == pytest.approx(1e-4)
    assert difference(ours, said(a=0.5, b=0.3, d=0.2)) == pytest.approx(0.0999)


def test_large_photographs_may_differ_by_more(tmp_path: Path) -> None:
    for side, within in ((999, 1e-3), (1000, 0.05)):
        Image.new("L", (side, 1000)).save(tmp_path / f"{side}.png")
        assert tolerance(tmp_path / f"{side}.png") == within

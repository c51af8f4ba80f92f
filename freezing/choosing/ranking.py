"""A candidate for the answer of a graph, and what candidates are compared by."""

import re
from dataclasses import dataclass, field
from enum import IntEnum

from freezing.graph.content import Content
from freezing.graph.graph import Endpoint

GOOD_NAME = re.compile(
    r"(\A|[/_])(predictions?|final_result|probs?|probabilities|softmax|y_pred|pred|outputs?|scores"
    r"|logits|y)(_?\d+)?\Z|detection_scores",
    re.IGNORECASE,
)
_SIDE_NAME = re.compile(r"aux", re.IGNORECASE)


class Rank(IntEnum):
    """What a candidate is, the likeliest answer first."""

    PROBABILITIES = 0
    LOGITS = 1
    END = 2  # nothing is computed from it, whatever it is
    DECISION = 3  # a class number or the like, which is no row of scores


@dataclass(kw_only=True)
class Output:
    """A tensor that may be the answer."""

    end: Endpoint
    op: str  # that computes it, behind ops that hand it on
    rank: Rank
    signature: int  # 0: of the signature that is meant; 1: of another; 2: of none
    shape: list[int | None] | None = None
    dtype: str | None = None
    names: list[str] = field(default_factory=list)  # what signatures call it, in words
    reasons: list[str] = field(default_factory=list)
    demoted: bool = False  # another one with the same rank is clearly to be preferred
    content: Content | None = None  # what its numbers are
    sources: frozenset[str] = frozenset()  # the nodes that its numbers are made of
    disputed: bool = False  # what it is made of may be meant as well
    inner: bool = False  # another one is computed from it by further layers

    @property
    def standing(self) -> tuple[int, int, int, int]:
        """By which candidates are compared: one that stands alone at the top is clear."""
        return (self.signature, self.inner, self.rank, self.demoted)


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """All candidates, likeliest first."""

    ranked: list[Output]

    @property
    def best(self) -> list[Output]:
        """Those that stand together at the top."""
        return [one for one in self.ranked if one.standing == self.ranked[0].standing]

    @property
    def clear(self) -> Output | None:
        """The only one at the top, unless it holds no scores."""
        best = self.best if self.ranked else []
        return best[0] if len(best) == 1 and best[0].rank is not Rank.DECISION else None

    @property
    def detections(self) -> list[Output]:
        """Those at the top where they all tell what was found in an image: one answer, in parts."""
        best = self.best if self.ranked else []
        return best if all(one.content is Content.DETECTIONS for one in best) else []


def is_row(shape: list[int | None] | None) -> bool:
    """Whether it is that of one row of numbers per image."""
    return shape is not None and len(shape) == 2 and shape[1] is not None


def name_rank(one: Output) -> int:
    """Return 0 for a name that answers have, 2 for one that side answers have."""
    if _SIDE_NAME.search(one.end.node):
        return 2
    return 0 if GOOD_NAME.search(one.end.node) else 1


def shown(end: Endpoint) -> str:
    """Return a tensor's name as people write it: without the number of a first output."""
    return end.node if end.output == 0 else str(end)

"""With which statistics a normalisation answers that was saved as it was trained.

A training graph is not what its author answers with: outside of training the same network takes the
moving averages that training kept. So they are taken from a checkpoint. In a Keras model that was
told to normalise with the batch, `layer(x, training=True)`, that is what `model.predict` answers
with, so there they are only taken if someone says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from freezing.graph.batch_statistics import statistics, use
from freezing.graph.cut import Part
from freezing.graph.graph import Endpoint, Graph
from freezing.graph.moving_averages import Average
from freezing.sources.source import Source
from worker.contract.source_requests import FreezeRequest
from worker.errors import FreezeError, SourceError

_AS_TRAINED = frozenset({"checkpoint", "graph"})  # kinds of sources that hold what was trained


class NoMovingAveragesError(FreezeError):
    """Moving averages of a batch's statistics are asked for, and the source keeps none."""

    code = "no_moving_averages"


@dataclass(frozen=True, kw_only=True)
class Normalising:
    """What the outputs need of a batch, of which training kept averages."""

    found: Sequence[Average] = ()
    uses_averages: bool = False
    never_moved: bool = False  # they are what they began as

    @property
    def could_use_averages(self) -> bool:
        """Whether there are averages that were left."""
        return bool(self.found) and not (self.uses_averages or self.never_moved)

    @property
    def variables(self) -> list[str]:
        """The names of the averages, in order."""
        return list(dict.fromkeys(one.variable for one in self.found))


def choose_statistics(
    source: Source,
    whole: Graph,
    part: Part,
    outputs: Sequence[Endpoint],
    image: str,
    request: FreezeRequest,
    said: list[str],
) -> Normalising:
    """Let a part of the `whole` graph take, in place, the moving averages where they are meant.

    `outputs` are those of `whole`, and `image` is the input of the part. What
    was taken is added to `said`. Raises `NoMovingAveragesError` where they are asked for and
    there are none.
    """
    asked = request.statistics
    found = _of_images(statistics(whole, outputs), part.graph, image)
    if asked == "moving" and not found:
        raise NoMovingAveragesError(
            "The source keeps no moving averages of what the outputs take from a batch: leave "
            "`statistics` out (--statistics)."
        )
    if asked == "image" or not found:
        return Normalising(found=found)
    never_moved = not _were_moved(source, whole, found)
    uses_averages = asked == "moving" or (source.kind in _AS_TRAINED and not never_moved)
    if uses_averages:
        use(part.graph, whole, found, [part.moved(end) for end in outputs])
        said.append(_sentence(found))
    return Normalising(found=found, uses_averages=uses_averages, never_moved=never_moved)


def _of_images(found: list[Average], graph: Graph, image: str) -> list[Average]:
    """Return what depends on the images: what does not is no statistic of a batch."""
    behind = graph.descendants([image]) if found else set()
    return [one for one in found if one.follows.node in behind]


def _were_moved(source: Source, graph: Graph, found: Sequence[Average]) -> bool:
    """Whether training moved the averages: without its update ops they stay at 0 and 1."""
    for name in dict.fromkeys(one.variable for one in found):
        try:
            array = source.values.read([graph.nodes[name]])[name].array
        except SourceError:
            return False
        if np.all(array == 0) or np.all(array == 1):
            return False
    return True


def _sentence(taken: Sequence[Average]) -> str:
    return (
        f"{_named([one.follows.node for one in taken])} normalises with the statistics of the "
        "batch, as in training. The moving averages that training kept of them, "
        f"{_named([one.variable for one in taken])}, were taken instead, as outside of training. "
        "To answer with the statistics of each image alone, give `statistics` as `image` "
        "(--statistics image)."
    )


def _named(names: Sequence[str]) -> str:
    names = list(dict.fromkeys(names))
    more = len(names) - 1
    return f"'{names[0]}'" + (f" (and {more} more)" if more else "")

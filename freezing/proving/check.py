"""What examples are asked of a frozen graph, as one process of a freeze tells it to another."""

from pydantic import Field

from freezing.running.record_fields import Count, Record
from freezing.verifying.answers import Expected
from worker.images.examples import MOST_EXAMPLES
from worker.models.manifest import Scores


class Check(Record):
    """Examples beside the graph, and which class each of them is of."""

    expected: Expected
    scores: Scores
    classes: list[Count] = Field(max_length=MOST_EXAMPLES)

"""How far a graph is from its source, as a result says it."""

from pydantic import Field

from freezing.running.record_fields import Count, Name, Number, Record


class OutputComparison(Record):
    """How far one output of a graph is from the source's."""

    name: Name
    max_abs_difference: Number
    max_relative_difference: Number  # to the largest answer of this output
    top1_agreement: Number | None  # share of samples whose highest value is the same; None for text


class GraphComparison(Record):
    """How far a graph is from its source."""

    samples: Count
    tolerance: Number
    max_abs_difference: Number
    max_relative_difference: Number
    top1_agreement: Number  # of the first output
    outputs: list[OutputComparison] = Field(max_length=256)

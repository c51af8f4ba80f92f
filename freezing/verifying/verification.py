"""How far a graph is from its source, as a result says it."""

from pydantic import Field

from freezing.running.record_fields import Count, Name, Number, Record


class OutputVerification(Record):
    """How far one output of a graph is from the source's."""

    name: Name
    max_abs_difference: Number
    max_relative_difference: Number  # to the largest answer of this output
    top1_agreement: Number | None  # share of samples whose highest value is the same; None for text


class Verification(Record):
    """How far a graph is from its source."""

    samples: Count
    tolerance: Number
    max_abs_difference: Number
    max_relative_difference: Number
    top1_agreement: Number  # of the first output
    outputs: list[OutputVerification] = Field(max_length=256)

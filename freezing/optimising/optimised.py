"""What optimising did, as a result says it."""

from typing import Any

from pydantic import Field

from freezing.running.record_fields import Count, Record, Text


class OptimiseCounts(Record):
    """What optimising did to a graph."""

    folded_constants: Count  # nodes that were computed, and now are constants or in one
    batch_norms: Count  # normalisations and scalings that went into layers
    nodes_before: Count
    nodes_after: Count

    @property
    def is_idle(self) -> bool:
        """Whether there was nothing to do."""
        return not (self.folded_constants or self.batch_norms) and (
            self.nodes_before == self.nodes_after
        )


class OptimisedFile(Record):
    """What the process that optimised a graph's file says."""

    optimised: OptimiseCounts
    is_written: bool  # else there was nothing to do
    audit: dict[str, Any]  # replaced by what the audit of the bytes finds
    warnings: list[Text] = Field(max_length=1000)

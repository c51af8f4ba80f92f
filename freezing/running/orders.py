"""What the child process of a job is told to do: one record, read strictly."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, TypeAdapter

from freezing.running.record_fields import Record
from worker.contract.source_requests import FreezeRequest, InspectionRequest
from worker.models.manifest import Manifest
from worker.settings import Settings


class Bounds(Record):
    """What the child may use and reach."""

    parent: int  # the process with which it ends
    memory_bytes: int
    verify_time_limit_s: float
    allow_code: bool  # whether a Keras file may bring code of its own
    confinement: Literal["auto", "required", "off"]
    read: tuple[Path, ...]
    write: tuple[Path, ...]


class Serving(Record):
    """The settings that decide how a version is tried, as workers will serve it."""

    model_config = ConfigDict(from_attributes=True)

    micro_batch: int
    run_memory_bytes: int
    load_time_limit_s: float
    verify_time_limit_s: float
    intra_op_threads: int
    inter_op_threads: int

    @property
    def settings(self) -> Settings:
        """These, and the defaults for all others."""
        return Settings(**self.model_dump())


class InspectionOrder(Record):
    """A source to look into."""

    action: Literal["inspect"] = "inspect"
    request: InspectionRequest
    source: Path
    bounds: Bounds


class FreezeOrder(Record):
    """A source to freeze into the file `graph`."""

    action: Literal["freeze"] = "freeze"
    request: FreezeRequest
    source: Path
    bounds: Bounds
    graph: Path
    tolerance: float
    samples: tuple[Path, ...]  # images that it is verified with beside those made up
    examples: Path | None  # a folder or a table of pictures whose label is known
    most_pixels: int  # of one of them
    serving: Serving


class ComparisonOrder(Record):
    """A version, `source` its file, to be run on images prepared in all ways that may be meant."""

    action: Literal["compare"] = "compare"
    manifest: Manifest
    source: Path
    bounds: Bounds
    samples: tuple[Path, ...]
    top: int
    most_pixels: int  # of one of them
    serving: Serving


Order = InspectionOrder | FreezeOrder | ComparisonOrder
_ORDER: TypeAdapter[Order] = TypeAdapter(Annotated[Order, Field(discriminator="action")])


def read_order(text: str) -> Order:
    """Return the order that was written as JSON."""
    return _ORDER.validate_json(text)

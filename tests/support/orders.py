"""Orders as `freezing.process` gives them, for work that is done in the tests' own process."""

import os
from pathlib import Path

from freezing.running.orders import Bounds, FreezeOrder, InspectionOrder, Serving
from worker.contract.source_requests import FreezeRequest, InspectionRequest
from worker.settings import Settings


def bounds(source: Path) -> Bounds:
    """Return the bounds of a process that has none."""
    settings = Settings()
    return Bounds(
        parent=os.getpid(),
        memory_bytes=settings.freeze_memory_bytes,
        verify_time_limit_s=settings.verify_time_limit_s,
        allow_code=False,
        confinement="off",
        read=(source if source.is_dir() else source.parent,),
        write=(),
    )


def inspection_of(source: Path) -> InspectionOrder:
    """Return the order to look into a source, of which nothing in particular is meant."""
    return InspectionOrder(request=InspectionRequest(), source=source, bounds=bounds(source))


def freeze_of(request: FreezeRequest, source: Path, graph: Path) -> FreezeOrder:
    """Return the order to freeze a source into a file."""
    return FreezeOrder(
        request=request,
        source=source,
        bounds=bounds(source),
        graph=graph,
        tolerance=1e-4,
        samples=(),
        examples=None,
        most_pixels=0,
        serving=Serving.model_validate(Settings()),
    )

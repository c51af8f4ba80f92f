"""An inspection of a source or of what builds a graph, for tests."""

from collections.abc import Callable
from typing import Any

from freezing.inspecting.inspection import look_into
from freezing.sources.source import Source
from tests.unit.freezing.test_choosing import source_of
from worker.contract.source_requests import InspectionRequest
from worker.models.inspection import Inspection

Build = Callable[[], None]


def look(source: Build | Source, **fields: Any) -> Inspection:
    opened = source if isinstance(source, Source) else source_of(source)
    return look_into(opened, InspectionRequest.parse(fields))


def codes(found: Inspection, level: str) -> set[str]:
    return {finding.code for finding in found.findings if finding.level == level}

"""Freezes a model in this process, for benchmarks of what is done with a graph."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from freezing.process import freeze
from worker.contract.source_requests import FreezeRequest
from worker.inference.graph import LoadedGraph
from worker.models.registry import Registry
from worker.settings import Settings


def frozen(
    name: str, source: Path, fields: Mapping[str, Any], settings: Settings
) -> tuple[LoadedGraph, dict[str, Any]]:
    """Freeze a source as a model of a new name, load it, and return the job's result too."""
    registry = Registry(settings.models_folder)
    workdir = settings.data / "work" / name
    workdir.mkdir(parents=True)
    result = freeze(
        FreezeRequest.parse({"preprocessing": "zero_one", **fields, "name": name}),
        source,
        workdir=workdir,
        registry=registry,
        job_id=name,
        settings=settings,
        on_log=lambda _: None,
        cancelled=lambda: False,
    )
    manifest = registry.manifest(name, 1)
    return LoadedGraph(manifest, registry.served_path(manifest), settings), result

"""Permafrost as it is delivered, `permafrost up`, with the graph frozen by its own freezing."""

import json
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from tests.bench.processor_time import between, of_permafrost, used_ms
from tests.bench.rounds import Round
from tests.support.submitting import ended, freeze_upload
from tests.support.system import System
from worker.models.manifest import Manifest
from worker.models.registry import Registry

WAIT = "Prefer: wait=30\r\n"
RUNTIMES = {"bench": "tensorflow", "bench-onnx": "onnxruntime"}  # of the models that are published
MODEL, ACCELERATED = RUNTIMES
DURABILITY = (
    "`permafrost up` as delivered: Redis with its append-only file, claims, sweeper, limits; "
    "a worker process per core, 2 API processes"
)


class Product:
    """The system under measurement."""

    def __init__(self, folder: Path, **environment: str) -> None:
        # Photographs are repeated, and a batch would classify those with the same bytes once.
        self.system = System(
            folder / "data",
            options=["--no-demo"],
            PERMAFROST_DEDUPLICATE="false",
            **environment,
        )
        self.url = self.system.url
        self._folders = folder / "data" / "folders"

    def publish(
        self,
        files: Sequence[Path],
        options: Mapping[str, Any],
        models: Collection[str] = tuple(RUNTIMES),
    ) -> dict[str, Manifest]:
        """Freeze a source for the runtimes of these models and return what is served, by model.

        A graph that cannot be converted for ONNX Runtime is served by TensorFlow alone.
        """
        served = {}
        for name, runtime in RUNTIMES.items():
            if name not in models:
                continue
            job = freeze_upload(self.url, files, **{**options, "name": name, "runtime": runtime})
            if job["status"] == "succeeded":
                served[name] = self._registry.manifest(name, job["result"]["version"])
            elif name == MODEL:
                raise SystemExit(f"The graph cannot be frozen: {job['error']['message']}")
        served[MODEL].classifying()
        return served

    def describe(self, manifest: Manifest, path: Path) -> Path:
        """Write down for the peers how a version is served; return the file."""
        preprocessing, scores = manifest.classifying()
        source, output = manifest.inputs[0], manifest.outputs[0]
        spec = {
            "graph": str(self._registry.served_path(manifest)),
            "runtime": manifest.runtime,
            "input": source.name,
            "output": output.name,
            "dtype": source.dtype,
            "batch": source.shape[0] if source.shape else None,
            "scores": scores,
            "labels": manifest.labels,
            **preprocessing.model_dump(),
        }
        path.write_text(json.dumps(spec))
        return path

    def classify(self, photograph: bytes, model: str = MODEL) -> list[dict[str, Any]] | None:
        """Return the predictions for an upload; None where it cannot be classified."""
        answer = httpx.post(
            f"{self.url}/v1/predictions",
            params={"model": model},
            files={"image": ("photograph.jpg", photograph)},
            headers={"Prefer": "wait=60"},
            timeout=90,
        )
        job = answer.json()
        if answer.status_code != 200 or job["status"] != "succeeded":
            return None
        predictions: list[dict[str, Any]] = job["result"]["predictions"]
        return predictions

    def roles(self) -> dict[str, list[int]]:
        """Return the processes by role."""
        return of_permafrost(self.system.processes())

    def folder(self, paths: Sequence[Path], count: int) -> str:
        """Make a folder of `count` photographs and return its name, as a batch names it."""
        name = f"{count}"
        target = self._folders / name
        for number in range(0 if target.exists() else count):
            source = paths[number % len(paths)]
            place = target / f"{number // 1000:03}" / f"{number:07}{source.suffix}"
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, place)
            except OSError:  # another file system
                shutil.copyfile(source, place)
        return name

    @property
    def _registry(self) -> Registry:
        return Registry(self.system.data / "models")


class FolderBatch:
    """A contender: a folder of photographs as one batch."""

    def __init__(
        self, key: str, title: str, product: Product, model: str, paths: Sequence[Path], rate: float
    ) -> None:
        self.key, self.title = key, title
        self._product, self._model, self._paths, self._rate = product, model, paths, rate

    def turn(self, seconds: float) -> Round:
        """Classify a folder that takes about so long, from acceptance to the last image."""
        product = self._product
        count = max(64, int(self._rate * seconds) // 64 * 64)
        folder = product.folder(self._paths, count)
        roles = product.roles()
        before = used_ms(roles)
        answer = httpx.post(
            f"{product.url}/v1/batches",
            json={"folder": folder, "model": self._model, "top": 5},
            timeout=30,
        )
        assert answer.status_code == 202, answer.text
        job = ended(product.url, answer.headers["Location"], within_s=600)
        used = between(before, used_ms(roles))
        failed = job["progress"]["failed"]
        done = job["progress"]["succeeded"]
        created, finished = (
            datetime.fromisoformat(job[name]) for name in ("created_at", "finished_at")
        )
        return Round(
            rate=done / (finished - created).total_seconds(),
            images=done,
            errors={"failed": failed} if failed else {},
            cpu_ms=used,
        )

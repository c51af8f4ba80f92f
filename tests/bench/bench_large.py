"""Large photographs: decoded no larger than the network needs them, against every pixel.

    PERMAFROST_FIXTURES=... python -m tests.bench.bench_large [--photographs FOLDER] [--quick]

First one process decodes and prepares each picture with the setting on and off, in turns; then
every network of the fixtures that takes images answers for both inputs; then the system classifies
a folder in both ways, in turns. What they are held against is a full decode as it is written with
Pillow alone, every pixel decoded and then resized, which is what servers do whose authors did not
think of large photographs. Photographs are made of the tutorial's, of those of a folder, or drawn
(`--drawn`).
"""

import argparse
import io
import json
import os
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import httpx
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from tests.bench.frozen import frozen
from tests.bench.large_photographs import Photograph, photographs
from tests.bench.table import Table
from tests.support.polling import wait_until
from tests.support.servers import Servers
from tests.support.termination import stop_as_by_ctrl_c
from worker.images.decode import Limits, decode, decode_for
from worker.images.preprocess import prepare
from worker.inference.graph import LoadedGraph
from worker.inference.scores import to_scores
from worker.settings import Settings

CORES = len(os.sched_getaffinity(0))
MOST_PIXELS = 10**9
WANTED = 3.0  # times a full decode's rate
# What the first score is ahead of the second by where there is an answer: rounding moves it, too.
CLEAR = 0.02
TUTORIAL = "dogs-cats"
# Where the fixtures have networks that take images, and how to freeze them.
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    TUTORIAL: ("tutorial-dogs-cats/checkpoint", {"outputs": ["y_pred"]}),
    "mobilenet": (
        "models/mobilenet-frozen-batch1/retrained_graph.pb",
        {"outputs": ["final_result"], "preprocessing": "minus_one_one"},
    ),
    "gender": ("models/gender-keras2-h5", {"preprocessing": "minus_one_one"}),
    "cifar": (
        "models/cifar-checkpoint",
        {"inputs": ["Input"], "outputs": ["add_1"], "scores": "logits"},
    ),
}

Floats = npt.NDArray[np.float32]


@dataclass
class Difference:
    """How far the answers to pairs of inputs are apart."""

    apart: list[float] = field(default_factory=list)  # largest difference of a score, by image
    other: int = 0  # images with another first answer
    undecided: int = 0  # of these, where the first two were nearly alike

    def add(self, whole: Floats, reduced: Floats) -> None:
        """Compare the scores (images, classes) of some images."""
        self.apart += np.abs(whole - reduced).max(axis=1).tolist()
        other = whole.argmax(axis=1) != reduced.argmax(axis=1)
        ranked = np.sort(whole[other], axis=1)
        self.other += len(ranked)
        self.undecided += sum(row[-1] - row[-2] < CLEAR for row in ranked)

    def show(self, table: Table, what: str) -> None:
        """Add a row."""
        count, largest = len(self.apart), max(self.apart)
        table.add(f"{what}: same first answer", f"{count - self.other:,} of {count:,}")
        table.add(
            f"  another one, though it was {CLEAR} ahead",
            f"{self.other - self.undecided:,}",
            "0",
            holds=self.other == self.undecided,
        )
        table.add(
            "  a score differs at most, and on average by",
            f"{largest:.4f}, {float(np.mean(self.apart)):.5f}",
        )


def published(fixtures: Path, settings: Settings) -> dict[str, LoadedGraph]:
    """Freeze, publish and load the networks."""
    return {
        name: frozen(name, fixtures / source, fields, settings)[0]
        for name, (source, fields) in MODELS.items()
    }


def one_input(content: bytes, graph: LoadedGraph, reduced: bool) -> npt.NDArray[np.generic]:
    """Decode and prepare an image as a worker does."""
    spec = graph.preprocessing
    picture = decode_for(content, spec if reduced else None, limits=Limits(pixels=MOST_PIXELS))
    return prepare(picture.image, spec, graph.dtype, box=picture.box)


def full_decode(content: bytes, graph: LoadedGraph) -> npt.NDArray[np.generic]:
    """Decode every pixel and resize with Pillow alone."""
    spec = graph.preprocessing
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content))).convert("RGB")
    height, width = spec.size
    pixels = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(pixels, np.float32) * np.float32(spec.scale)


def scores(graph: LoadedGraph, inputs: Sequence[npt.NDArray[np.generic]]) -> Floats:
    """Return what a network answers, (images, classes)."""
    answers = graph.run(np.stack(inputs))[0]
    return to_scores(np.asarray(answers, np.float32).reshape(len(inputs), -1), graph.scores)


def took(work: Callable[[], object]) -> float:
    """Return the milliseconds of processor time that something takes."""
    started = time.process_time()
    work()
    return (time.process_time() - started) * 1000


def judge(table: Table, what: str, ratio: float) -> None:
    """Add a ratio that is asked for."""
    table.add(what, f"{ratio:.2f}", f">= {WANTED:.0f}", holds=ratio >= WANTED)


def one_process(
    table: Table, graph: LoadedGraph, pictures: Sequence[Photograph], rounds: int
) -> None:
    """Decode and prepare every picture in all ways, in turns."""
    times: defaultdict[str, defaultdict[str, list[float]]]
    times = defaultdict(lambda: defaultdict(list))
    for _ in range(rounds):
        for one in pictures:
            ways: dict[str, Callable[[], object]] = {
                "decode": partial(decode, one.content, limits=Limits(pixels=MOST_PIXELS)),
                "Pillow": partial(full_decode, one.content, graph),
                "whole": partial(one_input, one.content, graph, reduced=False),
                "reduced": partial(one_input, one.content, graph, reduced=True),
            }
            for way, work in ways.items():
                times[one.kind][way].append(took(work))
    for kind, found in times.items():
        size = np.mean([len(one.content) for one in pictures if one.kind == kind]) / 1e6
        alone, pillow, whole, reduced = (
            median(found[way]) for way in ("decode", "Pillow", "whole", "reduced")
        )
        table.add(
            f"{kind} ({size:.1f} MB): decoded and prepared, with Pillow alone",
            f"{pillow:.1f} ms",
        )
        table.add(f"  every pixel (of which decoding {alone:.1f} ms)", f"{whole:.1f} ms")
        table.add("  no more pixels than needed", f"{reduced:.1f} ms")
        table.add("  ratio", f"{pillow / reduced:.2f}")
    pillow, whole, reduced = (
        sum(median(found[way]) for found in times.values())
        for way in ("Pillow", "whole", "reduced")
    )
    judge(table, "all kinds alike: times a full decode's rate", pillow / reduced)
    table.add("  times that of every pixel with our resizing", f"{whole / reduced:.2f}")


def answers(
    table: Table, graphs: dict[str, LoadedGraph], pictures: Sequence[Photograph], small: list[Path]
) -> None:
    """Compare every network's answers, for the large photographs and for those they are made of."""
    for name, graph in graphs.items():
        large = Difference()
        for one in pictures:
            inputs = [one_input(one.content, graph, reduced) for reduced in (False, True)]
            whole, reduced = (scores(graph, [row]) for row in inputs)
            large.add(whole, reduced)
        height, width = graph.preprocessing.size
        large.show(table, f"{name} ({width} x {height}), {len(pictures)} large ones")
    different = sum(
        not np.array_equal(
            one_input(content, graph, reduced=True), one_input(content, graph, reduced=False)
        )
        for content in (path.read_bytes() for path in small)
        for graph in graphs.values()
    )
    if small:
        table.add(
            f"{len(small):,} photographs of the fixtures as they are, other inputs",
            f"{different}",
            "0",
            holds=different == 0,
        )


def whole_system(
    table: Table, servers: Servers, folder: Path, graph: LoadedGraph, turns: int
) -> None:
    """Classify the folder with the setting on and off, in turns, and compare the answers.

    What they are held against only decodes and resizes, in a thread per core.
    """
    contents = [path.read_bytes() for path in sorted(folder.iterdir())]
    count = len(contents)
    rates: defaultdict[bool, list[float]] = defaultdict(list)
    pillow: list[float] = []
    rows: dict[bool, dict[str, Any]] = {}
    for _ in range(turns):
        for reduced in (True, False):
            servers.start_worker(environment={"PERMAFROST_REDUCED_DECODING": str(reduced)})
            if servers.api is None:
                servers.start_api()
            wait_until(servers.ready, within_s=120, what="the system is ready")
            seconds, rows[reduced] = _batch(servers.url)
            rates[reduced].append(count / seconds)
            servers.kill(servers.worker)
        with ThreadPoolExecutor(CORES) as threads:
            started = time.perf_counter()
            list(threads.map(partial(full_decode, graph=graph), contents))
            pillow.append(count / (time.perf_counter() - started))
    plain = median(pillow)
    fast, full = (median(rates[reduced]) for reduced in (True, False))
    table.add(f"{count} decoded and resized by Pillow, and nothing else", f"{plain:.1f} /s")
    table.add("  a batch of them, every pixel decoded", f"{full:.1f} /s")
    table.add("  a batch of them, no more decoded than needed", f"{fast:.1f} /s")
    judge(table, "  its times a full decode's rate", fast / plain)
    table.add("  times that of the batch of every pixel", f"{fast / full:.2f}")
    apart = Difference()
    for path, whole in rows[False].items():
        labels = sorted(label for label, _ in whole)
        both = [[dict(ranked)[label] for label in labels] for ranked in (whole, rows[True][path])]
        apart.add(*(np.array([one], np.float32) for one in both))
    apart.show(table, "in the results of the batches")


def _batch(url: str) -> tuple[float, dict[str, Any]]:
    """Classify the folder; return the seconds that it took and the predictions by path."""
    order = {"folder": "large", "model": TUTORIAL, "top": 5}
    started = time.perf_counter()
    answer = httpx.post(f"{url}/v1/batches", json=order)
    assert answer.status_code == 202, answer.text
    job = answer.json()
    while job["status"] not in ("succeeded", "failed"):
        job = httpx.get(f"{url}{job['links']['self']}?wait=30", timeout=60).json()
    seconds = time.perf_counter() - started
    assert job["progress"]["failed"] == 0, job
    lines = httpx.get(f"{url}{job['links']['results']}?format=jsonl", timeout=60).text.splitlines()
    found = {}
    for row in map(json.loads, lines):
        found[row["path"]] = [(one["label"], one["score"]) for one in row["predictions"]]
    return seconds, found


def main() -> int:
    """Measure and print; return 1 where something falls short."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--images", type=int, default=100, help="how many large photographs")
    parser.add_argument("--photographs", type=Path, help="folder of photographs to make them of")
    parser.add_argument("--drawn", action="store_true", help="draw them")
    parser.add_argument("--quick", action="store_true", help="a quarter of the photographs")
    arguments = parser.parse_args()
    stop_as_by_ctrl_c()
    variable = os.environ.get("PERMAFROST_FIXTURES")
    if not variable:
        parser.error("set PERMAFROST_FIXTURES to the folder of models and photographs")
    fixtures = Path(variable).resolve()
    chosen = arguments.photographs or fixtures / "tutorial-dogs-cats" / "images"
    sources = sorted(path for path in chosen.rglob("*") if path.is_file())
    count = arguments.images // (4 if arguments.quick else 1)
    small = [
        *sorted((fixtures / "tutorial-dogs-cats" / "images").rglob("*.jpg")),
        *sorted((fixtures / "cats-dogs-200px" / "test").rglob("*.jpg")),
    ]
    data = Path(tempfile.mkdtemp(prefix="permafrost-bench-"))
    table = Table()
    servers = Servers(data / "data", workers=CORES, PERMAFROST_DEDUPLICATE="false")
    try:
        folder = servers.folders / "large"
        folder.mkdir()
        step = max(1, len(sources) // count)  # so that few are of all kinds, too
        pictures = list(photographs([] if arguments.drawn else sources[::step], count))
        for number in range(arguments.images):  # fewer would be over before all workers have some
            (folder / f"{number:04}.jpg").write_bytes(pictures[number % count].content)
        graphs = published(fixtures, Settings(data=servers.data))
        source = "drawn" if arguments.drawn else f"made of those in {chosen.name}"
        print(f"{CORES} cores, {count} photographs of 12 megapixels, {source}")
        one_process(table, graphs[TUTORIAL], pictures[:24], rounds=1 if arguments.quick else 3)
        answers(table, graphs, pictures, small[:: 10 if arguments.quick else 1])
        turns = 1 if arguments.quick else 2
        whole_system(table, servers, folder, graphs[TUTORIAL], turns)
    finally:
        servers.remove()
        shutil.rmtree(data, ignore_errors=True)
    return 0 if table.holds else 1


if __name__ == "__main__":
    sys.exit(main())

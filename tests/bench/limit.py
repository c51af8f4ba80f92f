"""The limit: one process that only decodes and runs the graph, kept for several turns.

    python -m tests.bench.limit DATA MODEL FOLDER THREADS

It reads the number of images and the size of a micro-batch of each turn from standard input, and
writes its rate and its processor time.
"""

import json
import subprocess
import sys
import time
from itertools import cycle, islice
from pathlib import Path

from tests.bench.rounds import Round
from tests.support.system import ROOT, clean_environment

SIZES = (16, 32, 64)  # of micro-batches; the best one is used
_WARM = 300  # images of the turns that find it out


class Limit:
    """A contender: decoding and running, and nothing else."""

    def __init__(self, key: str, title: str, data: Path, model: str, folder: Path) -> None:
        self.key, self.title = key, title
        self._arguments = [str(data), model, str(folder)]
        self._process: subprocess.Popen[str] | None = None
        self.size = SIZES[0]
        self.rate = 0.0  # of the warmest turn

    def start(self, threads: int) -> None:
        """Load the graph and find the best size of micro-batches."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.limit", *self._arguments, str(threads)],
            cwd=ROOT,
            env=clean_environment(TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES=""),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        first = self._ask(32, self.size)  # loads
        count = int(min(_WARM, max(64, first.rate)))
        rates = {size: self._ask(count, size).rate for size in SIZES for _ in range(2)}
        self.size = max(SIZES, key=lambda size: rates[size])
        self.rate = rates[self.size]

    def turn(self, seconds: float) -> Round:
        """Classify as many images as take about so long."""
        done = self._ask(max(self.size, int(self.rate * seconds)), self.size)
        self.rate = done.rate
        return done

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def _ask(self, images: int, size: int) -> Round:
        assert self._process is not None
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(images, size, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, f"the limit of {self._arguments[1]} ended"
        answer = json.loads(line)
        return Round(rate=answer["rate"], images=images, cpu_ms={"process": answer["cpu_ms"]})


def main(data: str, model: str, folder: str, threads: int) -> None:
    """Take turns until nothing more is asked for."""
    from tests.bench.ceiling import images_per_second, load

    graph = load(Path(data), model)
    files = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    for line in sys.stdin:
        images, size = (int(word) for word in line.split())
        before = time.process_time()
        rate = images_per_second(graph, list(islice(cycle(files), images)), size, threads)
        print(
            json.dumps({"rate": rate, "cpu_ms": (time.process_time() - before) * 1e3}), flush=True
        )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))

"""The limit: one process that only decodes and runs the graph, kept for several turns.

    python -m tests.bench.limit DATA MODEL FOLDER THREADS

It reads the number of images and the size of a micro-batch of each turn from standard input, and
writes its rate and its processor time.
"""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

from tests.bench.rounds import Round
from tests.support.system import ROOT, clean_environment

SIZES = (4, 8, 16, 32, 64)  # of micro-batches; the best one is used
_WARM = 300  # images of the turns that find it out


class LimitProcess:
    """One process with the graph, and so many threads across its operations.

    With one of them a network of many small operations keeps the others waiting, with several a
    network of few is slower: which one is the limit has to be tried.
    """

    def __init__(self, arguments: Sequence[str], threads: int, inter_op: int) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.limit", *arguments, f"{threads}"],
            cwd=ROOT,
            env=clean_environment(
                TF_CPP_MIN_LOG_LEVEL="3",
                CUDA_VISIBLE_DEVICES="",
                PERMAFROST_INTER_OP_THREADS=f"{inter_op}",
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.inter_op = inter_op
        self.size = SIZES[0]
        self.rate = 0.0

    def tune(self) -> None:
        """Find the best size of micro-batches."""
        count = int(min(_WARM, max(64, self.ask(64, self.size).rate)))
        rates = dict.fromkeys(SIZES, 0.0)
        for size in SIZES * 2:
            rates[size] = max(rates[size], self.ask(count, size).rate)
        self.size = max(SIZES, key=lambda size: rates[size])
        self.rate = rates[self.size]

    def ask(self, images: int, size: int) -> Round:
        """Have images classified."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(images, size, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        assert line, "the process that is the limit ended"
        answer = json.loads(line)
        return Round(rate=answer["rate"], images=images, cpu_ms={"process": answer["cpu_ms"]})

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


class Limit:
    """A contender: decoding and running, and nothing else, with the best of the settings tried."""

    def __init__(self, key: str, title: str, data: Path, model: str, folder: Path) -> None:
        self.key, self.title = key, title
        self._arguments = [str(data), model, str(folder)]
        self._chosen: LimitProcess | None = None
        self.rate = 0.0  # of the latest turn

    def start(self, threads: int) -> str:
        """Load the graph, find the best settings and return them in words."""
        processes = [LimitProcess(self._arguments, threads, count) for count in {1, threads}]
        try:
            for process in processes:
                process.tune()
            self._chosen = max(processes, key=lambda process: process.rate)
        finally:
            for process in processes:
                if process is not self._chosen:
                    process.stop()
        self.rate = self._chosen.rate
        return (
            f"{threads} threads, micro-batches of {self._chosen.size}, "
            f"{self._chosen.inter_op} thread(s) across operations"
        )

    def turn(self, seconds: float) -> Round:
        """Classify as many images as take about so long."""
        assert self._chosen is not None
        size = self._chosen.size
        done = self._chosen.ask(max(size, int(self.rate * seconds)), size)
        self.rate = done.rate
        return done

    def stop(self) -> None:
        """End the process."""
        if self._chosen is not None:
            self._chosen.stop()


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

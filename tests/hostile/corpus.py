"""Send a folder of whatever files to a system and print a table of what became of them.

    python -m tests.hostile.corpus FOLDER [--url URL --model NAME] [--models] [--answers FILE.jsonl]

Without `--url` a system of its own is started, with the demo model. Every file is sent alone as a
prediction and again in batches, where both must agree; every archive is also sent as a batch and,
with `--models`, as a model to inspect, which takes some seconds each. What must not be is listed:
answers of 500 and more, codes that no page lists, sentences that nobody can read, files that take
too long, processes that died or grew. The exit code is 1 where there is any.
"""

import argparse
import collections
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.support.malformed import good
from tests.support.sentences import unclear
from tests.support.submissions import (
    CODES,
    IN_A_BATCH,
    Answer,
    Submitter,
    memory_watched,
)
from tests.support.system import System
from worker.images.kinds import HEAD, foreign

MOST_S = 60.0
MOST_MEMORY = 500  # MiB
_GOOD = "baseline.jpg"
AT_ONCE = 100  # files of one batch
CLIENTS = 4
# Of whole archives and of models; those of pictures are in CODES.
MORE_CODES = frozenset(
    {
        *("bad_archive", "archive_too_large", "bad_source", "freeze_failed", "unsupported_source"),
        *("no_images", "all_failed", "queued", "too_large", "conflict"),
    }
)
_ARCHIVES = ("archive", "compressed")


def main(arguments: Sequence[str]) -> int:
    """Send the files that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--url", help="a running system; else one is started")
    parser.add_argument("--model", default="cats-dogs")
    parser.add_argument("--models", action="store_true", help="send archives as models, too")
    parser.add_argument("--answers", type=Path, help="write every answer into this file")
    options = parser.parse_args(arguments)
    paths = sorted(path for path in options.folder.rglob("*") if path.is_file())
    if options.url:
        return _run(paths, options.url, [], options)
    with tempfile.TemporaryDirectory() as folder:
        system = System(Path(folder) / "data")
        system.start()
        try:
            pids = [process.pid for process in system.processes()]
            return _run(paths, system.url, pids, options)
        finally:
            system.stop()


def _run(paths: list[Path], url: str, pids: Sequence[int], options: argparse.Namespace) -> int:
    photograph = good(_GOOD)
    found: list[tuple[str, Answer]] = []
    with Submitter(url, options.model) as first, memory_watched(pids) as memory:
        expected, workers = first.result(photograph), first.workers()
        shares = [paths[number::CLIENTS] for number in range(CLIENTS)]
        with ThreadPoolExecutor(CLIENTS) as pool:
            for part in pool.map(lambda share: list(_sent(share, url, options)), shares):
                found += part
        is_alive = first.workers() == workers and first.result(photograph) == expected
    if options.answers:
        options.answers.write_text(
            "".join(json.dumps([way, *answer]) + "\n" for way, answer in found)
        )
    _print_table(found)
    wrong = list(_wrong(found))
    for way, answer, why in wrong[:200]:
        print(f"WRONG {way}: {answer.name}: {why}: {answer.status} {answer.code} {answer.sentence}")
    print(f"{len(paths):,} files, {len(found):,} answers, {len(wrong):,} wrong")
    print(f"most memory that a process took more: {memory.most:.0f} MiB")
    print("the same workers and the same answers afterwards" if is_alive else "WORKERS DIED")
    return int(bool(wrong) or not is_alive or memory.most > MOST_MEMORY)


def _sent(paths: list[Path], url: str, options: argparse.Namespace) -> Iterator[tuple[str, Answer]]:
    with Submitter(url, options.model) as submitter:
        for part in _parts(paths):
            contents = {path.name: path.read_bytes() for path in part}
            alone = {name: submitter.predict(name, content) for name, content in contents.items()}
            yield from (("alone", answer) for answer in alone.values())
            names = {f"{number:03}.jpg": name for number, name in enumerate(contents)}
            # With a good one among them, lest a batch of nothing but refused files have no rows.
            images = {short: contents[name] for short, name in names.items()}
            rows = submitter.batch({**images, _GOOD: good(_GOOD)})
            for row in rows:
                name = names.get(row.name, row.name)
                yield "batch", row._replace(name=name)
                if name in alone:
                    code = IN_A_BATCH.get(alone[name].code, alone[name].code)
                    if code != row.code:
                        yield "differs", row._replace(name=name, sentence=alone[name].code)
            for name, content in contents.items():
                kind = foreign(content[:HEAD])
                if kind is not None and any(word in kind.name for word in _ARCHIVES):
                    yield from (("archive", a) for a in submitter.archive(name, content))
                    if options.models:
                        yield "model", submitter.inspect(name, content)


def _parts(paths: list[Path]) -> Iterator[list[Path]]:
    for start in range(0, len(paths), AT_ONCE):
        yield paths[start : start + AT_ONCE]


def _wrong(found: list[tuple[str, Answer]]) -> Iterator[tuple[str, Answer, str]]:
    for way, answer in found:
        codes = CODES if way in ("alone", "batch") else CODES | MORE_CODES
        if way == "differs":
            yield way, answer, "a batch and a single request disagree"
        elif answer.status >= 500 or answer.code not in codes:
            yield way, answer, "of no expected class"
        elif answer.seconds > MOST_S and way == "alone":
            yield way, answer, f"it took {answer.seconds:.0f} s"
        elif answer.code not in ("succeeded", "skipped"):
            why = unclear(answer.sentence)
            if why:
                yield way, answer, why


def _print_table(found: list[tuple[str, Answer]]) -> None:
    counted = collections.Counter((way, answer.status, answer.code) for way, answer in found)
    slowest: dict[tuple[str, int, str], float] = collections.defaultdict(float)
    for way, answer in found:
        key = way, answer.status, answer.code
        slowest[key] = max(slowest[key], answer.seconds)
    print(f"{'how':<8} {'HTTP':>4} {'code':<20} {'files':>7} {'slowest, s':>10}")
    for key, count in sorted(counted.items()):
        way, status, code = key
        print(f"{way:<8} {status:>4} {code:<20} {count:>7,} {slowest[key]:>10.2f}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

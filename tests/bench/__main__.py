"""The benchmarks: Permafrost and its peers side by side, on the same graphs and photographs.

./permafrost bench [--quick] [--photographs DIR] [--graph FILE.pb]
"""

import argparse
import json
import os
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.bench import graphs, photographs
from tests.bench.machine import described
from tests.bench.peer_environment import python_of_peers
from tests.bench.peer_servers import PEERS
from tests.bench.product import DURABILITY
from tests.bench.report import print_budget, print_part
from tests.bench.side_by_side import FULL, QUICK, SideBySide
from tests.bench.table import Table
from tests.bench.wanted import MANY, ONE, judge, wanted


def main() -> int:
    """Measure and print; return 1 where something falls short."""
    asked = _arguments()
    began = time.monotonic()
    lengths = QUICK if asked.quick else FULL
    chosen = _graphs(asked)
    python = python_of_peers()
    numbers: dict[str, Any] = {"machine": described(python), "graphs": {}}
    asked.output.mkdir(parents=True, exist_ok=True)
    table = Table()

    def told(text: str) -> None:
        print(f"    [{time.monotonic() - began:4.0f} s] {text}", flush=True)

    with tempfile.TemporaryDirectory(prefix="permafrost-bench-") as folder:
        paths, where = photographs.find(asked.photographs, Path(folder))
        _print_head(numbers["machine"], where, lengths.rounds)
        for graph in chosen:
            print(f"\n{graph.title}", flush=True)
            with SideBySide(graph, paths, python, Path(folder), told) as systems:
                measured = systems.measure(lengths)
                titles = systems.titles()
            for part in (MANY, ONE):
                print_part(part, measured[part], titles)
            for part in (MANY, ONE):
                print_budget(part, measured[part], titles)
            print("\n  ratios, medians of the rounds' own (least..greatest)")
            found = judge(table, measured, wanted(graph.onnx_limit), graph.not_asked)
            numbers["graphs"][graph.name] = {
                "title": graph.title,
                "titles": titles,
                "rounds": {
                    part: {key: [asdict(one) for one in rounds] for key, rounds in by_key.items()}
                    for part, by_key in measured.items()
                },
                "ratios": found,
            }
    (asked.output / "numbers.json").write_text(json.dumps(numbers, indent=1))
    print(f"\n{time.monotonic() - began:.0f} s in all; numbers in {asked.output / 'numbers.json'}")
    return 0 if table.holds else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="permafrost bench", description=(__doc__ or "").split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--quick", action="store_true", help="one graph, fewer and shorter rounds")
    parser.add_argument("--photographs", type=Path, metavar="DIR", help="folder of JPEG and PNG")
    parser.add_argument("--graph", type=Path, metavar="FILE.pb", help="a graph of your own")
    parser.add_argument(
        "--freeze", metavar="JSON", help="fields of the freeze, where its graph leaves any open"
    )
    parser.add_argument("--only", nargs="+", metavar="GRAPH", help="only these graphs")
    parser.add_argument(
        "--output", type=Path, default=Path("bench-results"), metavar="DIR", help="for the numbers"
    )
    return parser.parse_args()


def _graphs(asked: argparse.Namespace) -> list[graphs.Graph]:
    if asked.graph:
        return [graphs.given(asked.graph, asked.freeze)]
    known = graphs.known()
    if asked.only:
        return [known[name] for name in asked.only]
    return list(known.values())[:1] if asked.quick else list(known.values())


def _print_head(machine: dict[str, Any], where: str, rounds: int) -> None:
    for name, value in machine.items():
        print(f"{name:<12} {value}")
    print(f"{'photographs':<12} {where}")
    print(f"{'Permafrost':<12} {DURABILITY}")
    for peer in PEERS:
        print(f"{peer.title:<28} {peer.settings}")
    print(f"{rounds} rounds in turns; load averages {os.getloadavg()[0]:.1f} (1 min)")


if __name__ == "__main__":
    sys.exit(main())

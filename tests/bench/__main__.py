"""The benchmarks: Permafrost and its peers side by side, on the same graphs and photographs.

./permafrost bench [--quick] [--photographs DIR] [--graph FILE.pb]
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from tests.bench import graphs, photographs
from tests.bench.chart import Bar, Panel, draw, kind_of
from tests.bench.machine import described
from tests.bench.parts import PARTS, Part, run
from tests.bench.peer_environment import python_of_peers
from tests.bench.peer_settings import PEERS
from tests.bench.product import DURABILITY
from tests.bench.report import print_budget, print_part
from tests.bench.rounds import Round, spread
from tests.bench.side_by_side import FULL, QUICK, Lengths, SideBySide
from tests.bench.table import Table
from tests.bench.wanted import MANY, judge, wanted

_TITLE = "Images per second, 32 clients (median, least and greatest of the rounds)"


def main() -> int:
    """Measure and print; return 1 where something falls short."""
    asked = _arguments()
    began = time.monotonic()
    lengths = _lengths(asked)
    chosen, parts = _chosen(asked)
    python = python_of_peers()
    numbers: dict[str, Any] = {"machine": described(python), "graphs": {}, "parts": {}}
    asked.output.mkdir(parents=True, exist_ok=True)
    file, chart = asked.output / "numbers.json", asked.chart or asked.output / "chart.svg"
    table = Table()
    panels: list[Panel] = []

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
            for clients, rounds in measured.items():
                print_part(clients, rounds, titles)
            for clients, rounds in measured.items():
                print_budget(clients, rounds, titles)
            print("\n  ratios, medians of the rounds' own (least..greatest)")
            found = judge(table, measured, wanted(graph.onnx_limit), graph.not_asked)
            panels.append(Panel(title=graph.title, bars=_bars(measured[MANY], titles)))
            numbers["graphs"][graph.name] = {
                "title": graph.title,
                "titles": titles,
                "rounds": {
                    clients: {key: [asdict(one) for one in rounds] for key, rounds in each.items()}
                    for clients, each in measured.items()
                },
                "ratios": found,
            }
            file.write_text(json.dumps(numbers, indent=1))
            chart.write_text(draw(_TITLE, f"{numbers['machine']['processor']}, {where}", panels))
    summary = Table()
    for part in parts:
        numbers["parts"][part.name] = run(
            part,
            summary,
            quick=asked.quick,
            photographs=asked.photographs,
            write_docs=asked.write_docs,
        )
    _print_summary(table, summary)
    if asked.quick and not parts:
        print(f"not measured: add --only {' '.join(PARTS)}")
    file.write_text(json.dumps(numbers, indent=1))
    print(f"\n{time.monotonic() - began:.0f} s in all; numbers in {file}, chart in {chart}")
    return 0 if table.holds and summary.holds else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="permafrost bench", description=(__doc__ or "").split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--quick", action="store_true", help="one graph, its peers, short rounds")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds of each measurement")
    parser.add_argument("--seconds", type=float, metavar="S", help="of a turn")
    parser.add_argument("--photographs", type=Path, metavar="DIR", help="folder of JPEG and PNG")
    parser.add_argument("--graph", type=Path, metavar="FILE.pb", help="a graph of your own")
    parser.add_argument(
        "--freeze", metavar="JSON", help="fields of the freeze, where its graph leaves any open"
    )
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="only these graphs and parts: demo, large, ..."
    )
    parser.add_argument(
        "--output", type=Path, default=Path("bench-results"), metavar="DIR", help="for the numbers"
    )
    parser.add_argument(
        "--write-docs", action="store_true", help="have the part `clients` write its tables there"
    )
    parser.add_argument("--chart", type=Path, metavar="FILE.svg", help="else in the same folder")
    return parser.parse_args()


def _bars(measured: Mapping[str, Sequence[Round]], titles: Mapping[str, str]) -> list[Bar]:
    return [
        Bar(label=titles[key], rate=spread([one.rate for one in rounds]), kind=kind_of(key))
        for key, rounds in measured.items()
    ]


def _lengths(asked: argparse.Namespace) -> Lengths:
    lengths = QUICK if asked.quick else FULL
    if asked.rounds:
        lengths = replace(lengths, rounds=asked.rounds)
    if asked.seconds:
        lengths = replace(lengths, seconds=asked.seconds, one_seconds=asked.seconds)
    return lengths


def _chosen(asked: argparse.Namespace) -> tuple[list[graphs.Graph], list[Part]]:
    """Return the graphs and the parts of this run."""
    known = graphs.known()
    only = asked.only or []
    wrong = [name for name in only if name not in known and name not in PARTS]
    if wrong:
        raise SystemExit(f"--only {wrong[0]}: there are {', '.join([*known, *PARTS])}.")
    chosen = [known[name] for name in known if name in only]
    parts = [part for name, part in PARTS.items() if name in only]
    if asked.graph:
        return [graphs.given(asked.graph, asked.freeze)], parts
    if only:
        return chosen, parts
    if asked.quick:
        return list(known.values())[:1], []
    return list(known.values()), list(PARTS.values())


def _print_head(machine: dict[str, Any], where: str, rounds: int) -> None:
    for name, value in machine.items():
        print(f"{name:<12} {value}")
    print(f"{'photographs':<12} {where}")
    print(f"{'Permafrost':<12} {DURABILITY}")
    for peer in PEERS:
        print(f"{peer.title}: {peer.settings}\n    tried: {peer.tried}")
    print(f"{rounds} rounds in turns; load averages {os.getloadavg()[0]:.1f} (1 min)")


def _print_summary(ratios: Table, parts: Table) -> None:
    """Say what held."""
    judged = [row for row in [*ratios.rows, *parts.rows] if row[3]]
    missed = [row for row in judged if row[3] == "NO"]
    print(f"\n{len(judged) - len(missed)} of {len(judged)} numbers that are asked for were reached")
    for what, measured, asked, _ in missed:
        print(f"  missed: {what.strip()}: {measured} {asked}".rstrip())


if __name__ == "__main__":
    sys.exit(main())

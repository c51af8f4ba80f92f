"""Every usual request, of real clients, to Permafrost and to its peers.

    ./permafrost bench --only clients [--quick] [--write-docs]
    python -m tests.bench.bench_clients [--quick] [--write-docs] [--shown FILE.json]

Each shape's requests are recorded once from the client itself and replayed, byte by byte, by the
load client: in turns with the peers, which are asked in the same shape.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

from tests.bench import graphs, photographs
from tests.bench.calibration import Calibration
from tests.bench.clients_report import measured_in, print_all, write_docs
from tests.bench.clients_systems import PROXIES, Systems
from tests.bench.clients_wanted import PLAIN, POLLED, wanted
from tests.bench.http_contenders import HttpContender
from tests.bench.machine import described, versions
from tests.bench.nginx import executable as nginx_executable
from tests.bench.peer_environment import python_of_peers
from tests.bench.peer_settings import CLIENT_PEERS, Peer
from tests.bench.processor_time import between, used_ms
from tests.bench.rounds import Contender, interleaved
from tests.bench.shapes import BY_KEY, SHAPES, TRITON, Shape
from tests.bench.side_by_side import CLIENTS, Lengths
from tests.bench.table import Table
from tests.bench.wanted import MANY, ONE, judge

_QUICK = Lengths(rounds=3, seconds=1.5, one_seconds=1.0, warm_s=1.0)
_FULL = Lengths(rounds=5, seconds=3.0, one_seconds=2.0, warm_s=1.5)
# The peer that is asked in every shape in a quick run too, with many clients and with one.
_EVERYWHERE = {True: "litserve", False: "flask"}
_BEHIND = ("requests", "aiohttp", "poll")  # shapes that go through nginx in a quick run
_STEADY_EVERY = 12  # turns between two pieces of fixed work
_IDLE_S = 3.0


def main() -> int:
    """Measure and print; return 1 where something falls short, 2 where nothing can be measured."""
    asked = _arguments()
    if asked.shown:
        numbers = json.loads(asked.shown.read_text())
    else:
        numbers = _measured(asked)
        asked.output.mkdir(parents=True, exist_ok=True)
        file = asked.output / "clients.json"
        file.write_text(json.dumps(numbers, indent=1))
        print(f"\nnumbers in {file}")
    print_all(numbers)
    table, measured = Table(), measured_in(numbers)
    print("\n  numbers to reach, medians of the rounds' own ratios (least..greatest)")
    numbers["wanted"] = judge(table, measured, wanted(measured), ())
    if asked.write_docs:
        for page in write_docs(numbers, table):
            print(f"written: {page}")
    return 0 if table.holds else 1


def _measured(asked: argparse.Namespace) -> dict[str, Any]:
    began = time.monotonic()

    def told(text: str) -> None:
        print(f"    [{time.monotonic() - began:4.0f} s] {text}", flush=True)

    lengths = _QUICK if asked.quick else _FULL
    shapes = [BY_KEY[key] for key in asked.shapes] if asked.shapes else list(SHAPES)
    peers = [peer for peer in CLIENT_PEERS if asked.peers is None or peer.key in asked.peers]
    python = python_of_peers()
    with tempfile.TemporaryDirectory(prefix="permafrost-bench-") as folder:
        paths, where = photographs.find(asked.photographs, Path(folder))
        graph = next(iter(graphs.known().values()))
        with Systems(graph, paths, Path(folder) / "clients", told, peers) as systems:
            told("recording the clients' requests")
            own = [TRITON] if any("triton" in peer.takes for peer in peers) else []
            # Peers are also sent the plain shape, in place of those that are none for them.
            recorded = dict.fromkeys([*shapes, *own, BY_KEY[PLAIN]])
            systems.record(list(recorded), {**systems.pythons, "peers": python})
            many = list(_contenders(systems, shapes, peers, CLIENTS, asked.quick))
            one = list(_contenders(systems, shapes, peers, 1, asked.quick))
            told(f"{len(many)} contenders with {CLIENTS} clients, {len(one)} with one")
            for contender in many:
                contender.turn(lengths.warm_s)
            idle = _idle(systems)
            shares = ", ".join(f"{name} {share:.1%}" for name, share in idle.items())
            told(f"idle, of one core: {shares}")
            load = os.getloadavg()[0]
            rounds = {
                part: interleaved(_steadied(each), lengths.rounds, seconds, told)
                for part, each, seconds in (
                    (MANY, many, lengths.seconds),
                    (ONE, one, lengths.one_seconds),
                )
            }
            return {
                "machine": {**described(python), **versions(systems.pythons)},
                "graph": graph.title,
                "photographs": where,
                "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
                "lengths": asdict(lengths),
                "idle": idle,
                "load": load,
                "skipped": systems.skipped,
                "settings": {peer.title: peer.settings for peer in peers},
                "titles": {each.key: each.title for each in (*many, *one)},
                "rounds": {
                    part: {key: [asdict(one) for one in each] for key, each in found.items()}
                    for part, found in rounds.items()
                },
            }


def _contenders(
    systems: Systems, shapes: Sequence[Shape], peers: Sequence[Peer], clients: int, quick: bool
) -> Iterator[HttpContender]:
    """Give everybody who takes part, those that are compared next to each other."""
    proxies = ("",) if clients == 1 else ("", *PROXIES) if nginx_executable() else ("",)
    for proxy, shape in ((proxy, shape) for proxy in proxies for shape in shapes):
        if proxy and quick and shape.key not in _BEHIND:
            continue
        if proxy == PROXIES[1] and shape.key != PLAIN:
            continue
        alike = [
            systems.theirs(peer, shape, clients, proxy)
            for peer in peers
            if _takes(peer, shape)
            and (
                not quick
                or peer.key == _EVERYWHERE[clients > 1]
                or (shape.key == PLAIN and not proxy)
                or (shape.key == "poll" and peer.key == POLLED)
                or (shape.key == "poll" and not proxy)
            )
        ]
        if shape.key == PLAIN and not proxy:
            alike += [
                systems.theirs(peer, TRITON, clients) for peer in peers if "triton" in peer.takes
            ]
        for contender in (systems.ours(shape, clients, proxy), *alike):
            if contender is not None:
                yield contender


def _takes(peer: Peer, shape: Shape) -> bool:
    """Whether a peer is sent a shape: one that is the same for it as another is left out."""
    if shape.reading == "poll":
        return "jobs" in peer.takes
    return "forms" in peer.takes and shape.like is None


def _steadied(contenders: Sequence[Contender]) -> list[Contender]:
    """Return the contenders with pieces of fixed work between them."""
    pieces = [
        contenders[start : start + _STEADY_EVERY]
        for start in range(0, len(contenders), _STEADY_EVERY)
    ]
    return list(
        chain.from_iterable((Calibration(number), *piece) for number, piece in enumerate(pieces))
    )


def _idle(systems: Systems) -> dict[str, float]:
    """Return the share of a core that each server uses while nobody asks anybody anything."""
    before = used_ms(systems.running())
    time.sleep(_IDLE_S)
    used = between(before, used_ms(systems.running()))
    return {name: spent / 1000 / _IDLE_S for name, spent in used.items()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench_clients", description=(__doc__ or "").split("\n", maxsplit=1)[0]
    )
    parser.add_argument("--quick", action="store_true", help="short turns, fewer combinations")
    parser.add_argument("--photographs", type=Path, metavar="DIR", help="folder of JPEG and PNG")
    parser.add_argument("--shapes", nargs="+", choices=list(BY_KEY), help="only these")
    parser.add_argument(
        "--peers", nargs="*", choices=[peer.key for peer in CLIENT_PEERS], help="only these"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("bench-results"), metavar="DIR", help="for the numbers"
    )
    parser.add_argument(
        "--shown", type=Path, metavar="FILE.json", help="numbers of an earlier run; measure nothing"
    )
    parser.add_argument(
        "--write-docs", action="store_true", help="write the tables into docs/ and the README"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

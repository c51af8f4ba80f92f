"""The part `clients`: its shapes, and what it makes of the numbers."""

from pathlib import Path

import pytest

from tests.bench import clients_report, senders
from tests.bench.clients_report import measured_in, write_docs
from tests.bench.clients_wanted import below, slowest, wanted
from tests.bench.peers import senders as library_senders
from tests.bench.rounds import Round
from tests.bench.shapes import BY_KEY, SHAPES, TRITON
from tests.bench.table import Table
from tests.bench.wanted import MANY, ONE, judge


def rounds(rate: float, p50_ms: float, api: float) -> list[Round]:
    one = Round(rate=rate, images=10, p50_ms=p50_ms, p99_ms=2 * p50_ms, cpu_ms={"api": 10 * api})
    return [one, one]


MEASURED = {
    MANY: {
        "permafrost/requests": rounds(200, 100, 1.0),
        "permafrost/aiohttp": rounds(150, 120, 2.0),
        "permafrost/raw": rounds(190, 100, 1.0),
        "permafrost/poll": rounds(100, 300, 3.0),
        "litserve/requests": rounds(100, 200, 0),
        "litserve/aiohttp": rounds(150, 200, 0),
        "celery/poll": rounds(50, 600, 0),
    },
    ONE: {"permafrost/requests": rounds(100, 10, 1.0), "flask/requests": rounds(100, 8, 0)},
}


def test_every_shape_has_a_client_and_stands_for_others_that_are_there() -> None:
    assert len(BY_KEY) == len(SHAPES)
    known = {*senders.CLIENTS, *library_senders.CLIENTS}
    assert {shape.client for shape in (*SHAPES, TRITON)} <= known
    assert {shape.like for shape in SHAPES} <= {None, *BY_KEY}


def test_each_number_is_judged_by_the_shape_that_it_is_about() -> None:
    found = judge(Table(), MEASURED, wanted(MEASURED), ())
    holds = {name: one["holds"] for name, one in found.items()}
    assert holds == {
        "litserve-requests": True,
        "litserve-aiohttp": False,
        "litserve-raw": True,  # over LitServe's plain form: it takes no raw image
        "fastest-aiohttp": False,
        "fastest-raw": True,
        "polled": False,
        "polled-api": False,
        "one-requests": False,
    }
    assert found["polled"]["ratio"] == 2
    assert found["polled-api"]["ratio"] == 3
    assert found["one-requests"]["ratio"] == 10 / 8


def test_the_slowest_shape_is_one_that_waits() -> None:
    shape = slowest(MEASURED)
    assert shape is not None
    assert shape.key == "aiohttp"


def test_a_shape_is_compared_with_the_one_that_a_peer_takes() -> None:
    assert below(MEASURED, MANY, "litserve", BY_KEY["aiohttp"]) == "litserve/aiohttp"
    assert below(MEASURED, MANY, "litserve", BY_KEY["tls"]) == "litserve/requests"


def test_docs_are_written_between_their_marks_with_what_was_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, readme = tmp_path / "page.md", tmp_path / "readme.md"
    for path, name in ((page, "clients"), (readme, "speed")):
        begin, end = clients_report.marks(name)
        path.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    monkeypatch.setattr(clients_report, "PAGE", page)
    monkeypatch.setattr(clients_report, "README", readme)
    fixed = {"fixed work 0": [{"rate": 10.0, "images": 1}, {"rate": 12.0, "images": 1}]}
    numbers = {
        "machine": {"processor": "Xeon, 2 cores"},
        "when": "2026-01-01",
        "graph": "the graph",
        "photographs": "100 photographs",
        "lengths": {"rounds": 2, "seconds": 1.0, "one_seconds": 1.0},
        "load": 0.5,
        "idle": {"permafrost plain": 0.1},
        "skipped": {"MLServer": "it is not installed"},
        "rounds": {
            part: {**{key: [vars(one) for one in found] for key, found in each.items()}, **fixed}
            for part, each in MEASURED.items()
        },
    }
    assert measured_in(numbers) == MEASURED
    table = Table()
    judge(table, MEASURED, wanted(MEASURED), ())
    assert write_docs(numbers, table) == [page, readme]
    text, sentence = page.read_text(), readme.read_text()
    for written in (text, sentence):
        assert written.startswith("before\n")
        assert written.endswith("after\n")
        assert "old" not in written
        assert "Xeon, 2 cores" in written
        assert "150 images/s for 32 clients" in written  # the slowest one, not the fastest
    assert "Not run: MLServer: it is not installed" in text
    assert "| form, aiohttp (each field typed) | 150 (150..150) |" in text
    assert "3 of 8 were reached" in text

"""What the part `clients` prints and writes into docs/: no number is copied by hand."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.bench.calibration import PREFIX
from tests.bench.clients_systems import OURS, PROXIES
from tests.bench.clients_wanted import PLAIN, POLLED, below, ratio_of, slowest
from tests.bench.peer_settings import CLIENT_PEERS
from tests.bench.rounds import Round, Spread, ratios, spread
from tests.bench.shapes import SHAPES
from tests.bench.table import Table
from tests.bench.wanted import MANY, ONE, Measured
from tests.support.system import ROOT

PAGE, README = ROOT / "docs" / "performance.md", ROOT / "README.md"
Rows = list[tuple[str, ...]]
_SHAPES_HEAD = (
    *("request", "images/s (least..greatest)", "p50 ms", "p99 ms", "API ms", "LitServe, images/s"),
    *("over LitServe", "one client, ms", "over Flask's"),
)
_PEERS_HEAD = (
    *("asked for the same", "images/s (least..greatest)", "p50 ms", "p99 ms", "all processes, ms"),
    *("Permafrost over it", "one client, ms"),
)


def measured_in(numbers: Mapping[str, Any]) -> dict[str, dict[str, list[Round]]]:
    """Return the rounds of a file of numbers, without the fixed work."""
    return {
        part: {
            key: [Round(**one) for one in rounds]
            for key, rounds in each.items()
            if not key.startswith(PREFIX)
        }
        for part, each in numbers["rounds"].items()
    }


def steadiness(numbers: Mapping[str, Any]) -> Spread:
    """Return the spread of the fixed work's rate, of 1 in the median."""
    rates = [
        one["rate"]
        for each in numbers["rounds"].values()
        for key, rounds in each.items()
        if key.startswith(PREFIX)
        for one in rounds
    ]
    found = spread(rates)
    return Spread(1.0, found.least / found.median, found.greatest / found.median)


def print_all(numbers: Mapping[str, Any]) -> None:
    """Print everything that was measured."""
    measured = measured_in(numbers)
    print("\n".join(["", *_conditions(numbers)]))
    for title, head, rows in _tables(measured):
        print(f"\n  {title}\n{_aligned([head, *rows])}")
    wrong = [
        f"  {numbers['titles'][key]}, {part}: {reason} {count} times"
        for part, each in measured.items()
        for key, rounds in each.items()
        for one in rounds
        for reason, count in one.errors.items()
    ]
    print("\n".join(["", *(wrong or ["  no answer was wrong or missing"])]))


def write_docs(numbers: Mapping[str, Any], judged: Table) -> list[Path]:
    """Write the tables into the page and the sentence into the README; return both."""
    measured = measured_in(numbers)
    parts = [_sentence(numbers, measured), "", *_conditions(numbers)]
    for title, head, rows in _tables(measured):
        parts += ["", f"### {title}", "", _markdown(head, rows)]
    asked = [row for row in judged.rows if row[3]]
    missed = [row for row in asked if row[3] == "NO"]
    parts += ["", "### Numbers to reach", ""]
    parts += [f"{len(asked) - len(missed)} of {len(asked)} were reached in this run."]
    if missed:
        head = ("missed", "median (least..greatest)", "asked for")
        parts += ["", _markdown(head, [row[:3] for row in missed])]
    _replace(PAGE, "clients", "\n".join(parts))
    _replace(README, "speed", _sentence(numbers, measured))
    return [PAGE, README]


def _conditions(numbers: Mapping[str, Any]) -> list[str]:
    """Return what was measured on, and how steady it was."""
    lengths, steady, machine = numbers["lengths"], steadiness(numbers), numbers["machine"]
    told = (
        f"{machine['processor']}, {numbers['when']}, {numbers['graph']}, "
        f"{numbers['photographs']}, {lengths['rounds']} rounds in turns of "
        f"{lengths['seconds']:g} s ({lengths['one_seconds']:g} s with one client). "
        f"Load of the machine at the start {numbers['load']:.1f}; all servers idle together "
        f"took {sum(numbers['idle'].values()):.0%} of a core. A fixed piece of work between the "
        f"turns ran at {steady.least:.2f} to {steady.greatest:.2f} of its median rate: by so "
        "much the machine itself went up and down."
    )
    return [told, *(f"Not run: {title}: {why}" for title, why in numbers["skipped"].items())]


def _sentence(numbers: Mapping[str, Any], measured: Measured) -> str:
    """Return what one may rely on: the slowest usual request, and polling."""
    shape = slowest(measured)
    if shape is None:
        return "Not measured."
    key = f"{OURS}/{shape.key}"
    rounds = measured[MANY][key]
    text = (
        f"On {numbers['machine']['processor']}, with {numbers['graph']}: "
        f"{_rate(rounds)} images/s for 32 clients that wait for their answer, whatever they send "
        f"(the slowest usual request: {shape.title}"
    )
    ratio = ratio_of(measured, MANY, key, below(measured, MANY, "litserve", shape))
    text += f"; {ratio.median:.2f} times LitServe with batching)" if ratio else ")"
    polled = measured[MANY].get(f"{OURS}/poll")
    if polled:
        text += f", {_rate(polled)} images/s for 32 clients that ask for their job every 50 ms"
        ratio = ratio_of(measured, MANY, f"{OURS}/poll", f"{POLLED}/poll")
        text += f" ({ratio.median:.2f} times plain Celery polled alike)" if ratio else ""
    alone = [
        _median(found, "p50_ms")
        for one in SHAPES
        if one.waits and (found := measured.get(ONE, {}).get(f"{OURS}/{one.key}"))
    ]
    if alone:
        text += f"; one client waits {min(alone):.1f} to {max(alone):.1f} ms"
    return f"{text}."


def _tables(measured: Measured) -> Iterator[tuple[str, tuple[str, ...], Rows]]:
    """Give titles, heads and rows of all tables."""
    yield "Each request, 32 clients and one", _SHAPES_HEAD, list(_shape_rows(measured, ""))
    for proxy in PROXIES:
        rows = list(_shape_rows(measured, proxy))
        if rows:
            yield f"The same{proxy}, 32 clients", _SHAPES_HEAD[:-2], [row[:-2] for row in rows]
    yield "Peers, waiting", _PEERS_HEAD, list(_peer_rows(measured, PLAIN))
    yield "Peers, polled every 50 ms", _PEERS_HEAD, list(_peer_rows(measured, "poll"))


def _shape_rows(measured: Measured, proxy: str) -> Iterator[tuple[str, ...]]:
    for shape in SHAPES:
        key = f"{OURS}/{shape.key}{proxy}"
        rounds, alone = measured.get(MANY, {}).get(key), measured.get(ONE, {}).get(key)
        if rounds is None:
            continue
        other = below(measured, MANY, "litserve", shape, proxy)
        ratio = ratio_of(measured, MANY, key, other) if shape.waits else None
        theirs = _rate(measured[MANY][other]) if ratio else ""
        flask = measured.get(ONE, {}).get(below(measured, ONE, "flask", shape))
        over = ""
        if alone and flask and shape.waits:
            each = [[one.p50_ms or 0.0 for one in found] for found in (alone, flask)]
            over = ratios(*each).shown(2)
        yield (
            shape.title,
            spread([one.rate for one in rounds]).shown(),
            f"{_median(rounds, 'p50_ms'):.0f}",
            f"{_median(rounds, 'p99_ms'):.0f}",
            f"{_median(rounds, 'api_ms'):.2f}",
            theirs,
            ratio.shown(2) if ratio else "",
            f"{_median(alone, 'p50_ms'):.1f}" if alone else "",
            over,
        )


def _peer_rows(measured: Measured, key: str) -> Iterator[tuple[str, ...]]:
    ours = f"{OURS}/{key}"
    names = {OURS: "**Permafrost**", **{peer.key: peer.title for peer in CLIENT_PEERS}}
    for name, title in names.items():
        keys = [f"{name}/{key}"] + ([f"{name}/triton"] if key == PLAIN else [])
        found = next((one for one in keys if one in measured.get(MANY, {})), None)
        if found is None:
            continue
        rounds, alone = measured[MANY][found], measured.get(ONE, {}).get(found)
        ratio = ratio_of(measured, MANY, ours, found) if name != OURS else None
        yield (
            title,
            spread([one.rate for one in rounds]).shown(),
            f"{_median(rounds, 'p50_ms'):.0f}",
            f"{_median(rounds, 'p99_ms'):.0f}",
            f"{_median(rounds, 'all_ms'):.2f}",
            ratio.shown(2) if ratio else "",
            f"{_median(alone, 'p50_ms'):.1f}" if alone else "",
        )


def _rate(rounds: Sequence[Round]) -> str:
    return f"{spread([one.rate for one in rounds]).median:,.0f}"


def _median(rounds: Sequence[Round], of: str) -> float:
    found = [value for one in rounds if (value := getattr(one, of)) is not None]
    return spread(found).median if found else 0.0


def _aligned(rows: Rows) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)


def _markdown(head: tuple[str, ...], rows: Rows) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def marks(name: str) -> tuple[str, str]:
    """Return the lines of a page between which something is written."""
    return f"<!-- {name}: written by ./permafrost bench -->", f"<!-- end of {name} -->"


def _replace(page: Path, name: str, text: str) -> None:
    """Write text between a page's marks."""
    begin, end = marks(name)
    before, found, rest = page.read_text().partition(begin)
    assert found, f"{page} has no mark {begin}"
    page.write_text(f"{before}{begin}\n{text}\n{end}{rest.partition(end)[2]}")

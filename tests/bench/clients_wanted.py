"""The numbers to reach of the part `clients`, for whatever shapes were measured."""

from collections.abc import Sequence

from tests.bench.clients_systems import OURS, PROXIES
from tests.bench.rounds import Spread, ratios, spread
from tests.bench.shapes import BY_KEY, SHAPES, Shape
from tests.bench.wanted import MANY, ONE, Measured, Wanted

PLAIN = "requests"  # the shape that others are compared with
POLLED = "celery"
LITSERVE_LEAST = 1.25
FASTEST_LEAST = 0.85  # within 15 % of the fastest shape
POLLED_LEAST = 2.5
POLLED_API_MOST = 2.5
ONE_MOST = 1.1


def wanted(measured: Measured) -> list[Wanted]:
    """Return all ratios; those of shapes or peers that were not measured are left out of tables."""
    waiting = [shape for shape in SHAPES if shape.waits]
    asked = [_over_litserve(measured, shape) for shape in waiting]
    asked += [_over_litserve(measured, shape, proxy) for proxy in PROXIES for shape in waiting]
    fastest = _fastest(measured, waiting)
    if fastest is not None:
        asked += [_of_fastest(shape, fastest) for shape in waiting if shape is not fastest]
    asked += [
        Wanted(
            name="polled",
            what="submit and poll, over plain Celery polled alike",
            part=MANY,
            above=f"{OURS}/poll",
            below=f"{POLLED}/poll",
            least=POLLED_LEAST,
        ),
        Wanted(
            name="polled-ray",
            what="submit and poll, over Ray Serve's",
            part=MANY,
            above=f"{OURS}/poll",
            below="ray/poll",
        ),
        Wanted(
            name="polled-api",
            what="submit and poll, API time of a form that waits",
            part=MANY,
            above=f"{OURS}/poll",
            below=f"{OURS}/{PLAIN}",
            of="api_ms",
            most=POLLED_API_MOST,
        ),
    ]
    asked += [_one_client(measured, shape) for shape in waiting]
    return asked


def below(measured: Measured, part: str, peer: str, shape: Shape, proxy: str = "") -> str:
    """Return the contender that a shape is compared with: the peer, asked as nearly alike as is."""
    for key in (shape.key, shape.like, PLAIN, "triton"):
        if key and f"{peer}/{key}{proxy}" in measured.get(part, {}):
            return f"{peer}/{key}{proxy}"
    return f"{peer}/{PLAIN}{proxy}"


def slowest(measured: Measured) -> Shape | None:
    """Return the shape with a wait, asked directly, that was the slowest with many clients."""
    rates = _rates(measured, [shape for shape in SHAPES if shape.waits])
    return BY_KEY[min(rates, key=lambda key: rates[key].median)] if rates else None


def ratio_of(measured: Measured, part: str, above: str, other: str) -> Spread | None:
    """Return the ratio of two contenders' rates, round by round."""
    rounds = measured.get(part, {})
    if above not in rounds or other not in rounds:
        return None
    return ratios([one.rate for one in rounds[above]], [one.rate for one in rounds[other]])


def _rates(measured: Measured, shapes: Sequence[Shape]) -> dict[str, Spread]:
    rounds = measured.get(MANY, {})
    return {
        shape.key: spread([one.rate for one in rounds[f"{OURS}/{shape.key}"]])
        for shape in shapes
        if f"{OURS}/{shape.key}" in rounds
    }


def _fastest(measured: Measured, shapes: Sequence[Shape]) -> Shape | None:
    rates = _rates(measured, shapes)
    return BY_KEY[max(rates, key=lambda key: rates[key].median)] if rates else None


def _over_litserve(measured: Measured, shape: Shape, proxy: str = "") -> Wanted:
    return Wanted(
        name=f"litserve-{shape.key}{proxy}",
        what=f"{shape.title}{proxy}, over LitServe",
        part=MANY,
        above=f"{OURS}/{shape.key}{proxy}",
        below=below(measured, MANY, "litserve", shape, proxy),
        least=LITSERVE_LEAST,
    )


def _of_fastest(shape: Shape, fastest: Shape) -> Wanted:
    return Wanted(
        name=f"fastest-{shape.key}",
        what=f"{shape.title}, of the fastest",
        part=MANY,
        above=f"{OURS}/{shape.key}",
        below=f"{OURS}/{fastest.key}",
        least=FASTEST_LEAST,
    )


def _one_client(measured: Measured, shape: Shape) -> Wanted:
    return Wanted(
        name=f"one-{shape.key}",
        what=f"{shape.title}, one client, over Flask's",
        part=ONE,
        above=f"{OURS}/{shape.key}",
        below=below(measured, ONE, "flask", shape),
        of="p50_ms",
        most=ONE_MOST,
    )

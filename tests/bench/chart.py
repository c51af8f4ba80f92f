"""The chart of a run: images per second as horizontal bars, a panel for each graph, as SVG.

The colours follow the viewer's scheme, light or dark. Who is meant stands beside each bar, so that
nothing depends on telling colours apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from xml.sax.saxutils import escape

from tests.bench.rounds import Spread

Kind = Literal["limit", "ours", "peer"]

_WIDTH, _MARGIN = 800, 20
_BARS_AT, _BARS_WIDE = 300, 380  # px from the left; the longest bar
_ROW, _BAR = 25, 15  # px of a line, and of the bar in it
_TITLE, _PANEL_TITLE, _GAP = 62, 30, 18
_CAP = 4  # px of half the stroke that ends a spread

_STYLE = """
  svg { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; }
  .surface { fill: #ffffff; }
  text { fill: #1f2328; }
  .title { font-size: 17px; font-weight: 600; }
  .panel { font-weight: 600; }
  .quiet { fill: #59636e; font-size: 12px; }
  .ours { fill: #2767c9; }
  .peer { fill: #afb8c1; }
  .limit { fill: none; stroke: #59636e; stroke-dasharray: 4 3; }
  .axis { stroke: #d1d9e0; }
  .spread { stroke: #1f2328; stroke-width: 1.25; fill: none; }
  @media (prefers-color-scheme: dark) {
    .surface { fill: #0d1117; }
    text { fill: #e6edf3; }
    .quiet { fill: #9198a1; }
    .ours { fill: #4a8df0; }
    .peer { fill: #59626d; }
    .limit { stroke: #9198a1; }
    .axis { stroke: #3d444d; }
    .spread { stroke: #e6edf3; }
  }
"""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """One contender's images per second."""

    label: str
    rate: Spread
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Panel:
    """The bars of one graph."""

    title: str
    bars: Sequence[Bar]


def kind_of(key: str) -> Kind:
    """Return what a contender is."""
    if key.startswith("limit"):
        return "limit"
    return "ours" if key.startswith(("permafrost", "folder", "bundle")) else "peer"


def draw(title: str, note: str, panels: Sequence[Panel]) -> str:
    """Return the chart as SVG; each panel has a scale of its own, its fastest bar first."""
    lines: list[str] = []
    y = _TITLE
    for panel in panels:
        y = _panel(lines, panel, y) + _GAP
    size = f'viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" height="{y}"'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{_quoted(title)}">',
        f"<style>{_STYLE}</style>",
        f'<rect class="surface" width="{_WIDTH}" height="{y}"/>',
        _text(_MARGIN, 28, title, "title"),
        _text(_MARGIN, 48, note, "quiet"),
    ]
    return "\n".join([*head, *lines, "</svg>", ""])


def _panel(lines: list[str], panel: Panel, y: int) -> int:
    """Draw a panel from `y` on and return where it ends."""
    lines.append(_text(_MARGIN, y + 18, panel.title, "panel"))
    top = y + _PANEL_TITLE
    most = max((bar.rate.greatest for bar in panel.bars), default=0.0) or 1.0
    ordered = sorted(panel.bars, key=lambda bar: -bar.rate.median)
    for number, bar in enumerate(ordered):
        _bar(lines, bar, top + number * _ROW, _BARS_WIDE / most)
    bottom = top + len(ordered) * _ROW
    lines.append(f'<path class="axis" d="M{_BARS_AT} {top}V{bottom}"/>')
    return bottom


def _bar(lines: list[str], bar: Bar, y: int, scale: float) -> None:
    middle = y + _ROW / 2
    long, least, greatest = (
        round(number * scale, 1) for number in (bar.rate.median, bar.rate.least, bar.rate.greatest)
    )
    first, last = _BARS_AT + least, _BARS_AT + greatest
    caps = "".join(f"M{x:.1f} {middle - _CAP}v{2 * _CAP}" for x in (first, last))
    shown = f"{bar.rate.median:,.0f}"
    spread = f"{bar.rate.least:,.0f} to {bar.rate.greatest:,.0f}"
    lines += [
        f"<g><title>{escape(bar.label)}: {shown} images/s, {spread}</title>",
        _text(_BARS_AT - 10, middle + 4.5, bar.label, "", anchor="end"),
        f'<path class="{bar.kind}" d="{_rounded(_BARS_AT, middle - _BAR / 2, long)}"/>',
        f'<path class="spread" d="M{first:.1f} {middle}H{last:.1f}{caps}"/>',
        _text(last + 10, middle + 4.5, shown, ""),
        "</g>",
    ]


def _rounded(x: float, y: float, long: float) -> str:
    """Return a bar's outline: square where it begins, rounded where it ends."""
    radius = min(3.0, long)
    return (
        f"M{x} {y}h{long - radius:.1f}a{radius:g} {radius:g} 0 0 1 {radius:g} {radius:g}"
        f"v{_BAR - 2 * radius:g}a{radius:g} {radius:g} 0 0 1 -{radius:g} {radius:g}H{x}Z"
    )


def _text(x: float, y: float, content: str, name: str, anchor: str = "start") -> str:
    placed = f'x="{x:g}" y="{y:g}"' + (f' text-anchor="{anchor}"' if anchor != "start" else "")
    return f"<text {placed}{_class(name)}>{escape(content.strip())}</text>"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _quoted(content: str) -> str:
    return escape(content, {'"': "&quot;"})

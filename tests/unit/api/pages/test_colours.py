"""The colours of the pages, in light and dark: whoever sees little can tell them apart."""

import re
from pathlib import Path

import pytest

from api import pages

_CSS = (Path(pages.__file__).parent / "static" / "permafrost.css").read_text()
_TEXT = 4.5  # least contrast of text, and
_PARTS = 3.0  # of what one must see to use a page: WCAG 2.2, 1.4.3 and 1.4.11, level AA


def palette(scheme: str) -> dict[str, str]:
    light, dark = (
        dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", block))
        for block in re.findall(r":root \{(.*?)\}", _CSS, re.DOTALL)[:2]
    )
    return light if scheme == "light" else {**light, **dark}


def luminance(color: str) -> float:
    """Return the relative luminance of WCAG 2.2."""
    shares = [int(color[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    ("front", "back", "least"),
    [
        *((front, back, _TEXT) for front in ("text", "muted") for back in ("ground", "surface")),
        *((front, back, _TEXT) for front in ("text", "muted", "accent") for back in ("sunken",)),
        *(("accent", back, _TEXT) for back in ("ground", "surface", "frost")),
        *((name, f"{name}-ground", _TEXT) for name in ("good", "bad", "warn")),
        ("accent-strong", "surface", _TEXT),
        ("accent-strong", "frost", _TEXT),
        ("text", "frost", _TEXT),
        ("bad", "surface", _TEXT),
        ("on-accent", "accent", _TEXT),
        ("on-accent", "accent-strong", _TEXT),
        ("muted", "bar-ground", _TEXT),
        ("control-line", "surface", _PARTS),
        ("control-line", "sunken", _PARTS),
        ("bar", "surface", _PARTS),
        ("bar", "sunken", _PARTS),
    ],
)
def test_colours_can_be_told_apart(scheme: str, front: str, back: str, least: float) -> None:
    colors = palette(scheme)
    assert contrast(colors[front], colors[back]) >= least

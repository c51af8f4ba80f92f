"""The chart is well-formed and shows what was measured."""

from xml.etree import ElementTree

import pytest

from tests.bench.chart import Bar, Panel, draw, kind_of
from tests.bench.rounds import Spread

SVG = "{http://www.w3.org/2000/svg}"
BARS = [
    Bar(label="LitServe", rate=Spread(464.0, 450.0, 470.0), kind="peer"),
    Bar(label="Permafrost <&>", rate=Spread(1234.0, 1200.0, 1250.0), kind="ours"),
    Bar(label="the limit", rate=Spread(1300.0, 1300.0, 1300.0), kind="limit"),
]


def drawn(*panels: Panel) -> ElementTree.Element:
    written = draw('all "of" them', "2 cores & more", panels)
    return ElementTree.fromstring(written)  # noqa: S314 - by ourselves


def texts(root: ElementTree.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SVG}text")]


def test_every_bar_has_its_name_and_its_number_and_the_fastest_is_first() -> None:
    assert texts(drawn(Panel(title="one graph", bars=BARS))) == [
        *('all "of" them', "2 cores & more", "one graph"),
        *("the limit", "1,300", "Permafrost <&>", "1,234", "LitServe", "464"),
    ]


def test_a_pointer_learns_the_spread() -> None:
    titles = [title.text for title in drawn(Panel(title="", bars=BARS)).iter(f"{SVG}title")]
    assert titles[1] == "Permafrost <&>: 1,234 images/s, 1,200 to 1,250"


def test_bars_are_as_long_as_their_rates() -> None:
    root = drawn(Panel(title="", bars=BARS))
    lengths = {}
    for path in root.iter(f"{SVG}path"):
        if (kind := path.get("class")) in {"ours", "peer", "limit"}:
            # To where the rounding begins, and that.
            lengths[kind] = float(path.attrib["d"].partition("h")[2].partition("a")[0]) + 3
    assert lengths["ours"] / lengths["limit"] == pytest.approx(1234 / 1300, abs=0.001)
    assert lengths["peer"] / lengths["limit"] == pytest.approx(464 / 1300, abs=0.001)


def test_panels_stand_one_below_the_other_inside_the_picture() -> None:
    root = drawn(*[Panel(title=f"graph {n}", bars=BARS) for n in range(4)])
    heights = [float(text.attrib["y"]) for text in root.iter(f"{SVG}text")]
    assert heights == sorted(heights)
    assert heights[-1] < float(root.attrib["height"])


def test_nothing_measured_is_still_a_picture() -> None:
    zero = Bar(label="nothing", rate=Spread(0.0, 0.0, 0.0), kind="peer")
    assert texts(drawn(Panel(title="t", bars=[zero]), Panel(title="u", bars=[])))[-2:] == ["0", "u"]


def test_it_is_readable_in_both_schemes() -> None:
    style = drawn().findtext(f"{SVG}style") or ""
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    for name in (".surface", "text", ".ours", ".peer", ".limit", ".axis", ".spread"):
        assert f"{name} {{" in light
        assert f"{name} {{" in dark


@pytest.mark.parametrize(
    ("key", "kind"),
    [("limit-onnx", "limit"), ("permafrost-raw", "ours"), ("folder", "ours"), ("flask", "peer")],
)
def test_contenders_are_of_a_kind(key: str, kind: str) -> None:
    assert kind_of(key) == kind

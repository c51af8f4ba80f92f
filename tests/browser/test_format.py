"""What JavaScript writes as a person reads it is what Python writes, to the character."""

import base64
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from api import pages
from worker import formatting

SCRIPT = (Path(pages.__file__).parent / "static" / "format.js").read_bytes()
CASES: dict[str, list[float]] = {
    # Those with a 25 or a 5 at the end lie in the middle between two of as many digits.
    "score": [
        *(count / 1600 for count in range(1601)),
        *(-3, -0.5, 1.0625, 1.1875, 12.3456, 12345, 12355, 1e4, 9999.5, 6.1e-5, -6.1e-5, 1.5e300),
    ],
    "duration": [
        *(count / 64 for count in range(-3, 700)),
        *(0.0854, 59.4, 59.5, 60, 60.5, 61.5, 200, 3599.5, 3600, 7500, 86400 * 4 + 3600 * 3),
    ],
    "number": [0, 7, 999, 1000, 62_378_344, 1_000_000_000],
    "binarySize": [0, 512, 1023, 1024, 1100, 1280, 2**20 * 2.25, 20 * 2**20, 3 * 2**30, 2**52],
}
PYTHON: dict[str, Callable[[float], str]] = {
    "score": formatting.score,
    "duration": formatting.duration,
    "number": formatting.number,
    "binarySize": formatting.binary_size,
}


@pytest.mark.parametrize("name", CASES)
def test_a_browser_writes_values_as_the_server_does(browser: Browser, name: str) -> None:
    page = browser.new_page()
    url = "data:text/javascript;base64," + base64.b64encode(SCRIPT).decode()
    shown = page.evaluate(
        "async ([url, name, values]) => values.map((await import(url))[name])",
        [url, name, CASES[name]],
    )
    page.close()
    assert dict(zip(CASES[name], shown, strict=True)) == {
        value: PYTHON[name](value) for value in CASES[name]
    }

"""Clients that are no library of the peers' environment: curl, a browser, and our own.

    python -m tests.bench.senders CLIENT < ORDER.json

ORDER: as in `tests.bench.peers.senders`.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

Order = dict[str, Any]

# As a page does it: what the person chose as a file goes into a form, and the form to the server.
_FETCH = """async ({count, url, fields, headers}) => {
  document.cookie = 'theme=dark; path=/';
  for (let n = 0; n < count; n++) {
    const photograph = await (await fetch('/photographs/' + n)).blob();
    const form = new FormData();
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    form.append('image', new File([photograph], n + '.jpg', {type: 'image/jpeg'}));
    await (await fetch(url, {method: 'POST', body: form, headers})).text();
  }
}"""
# Chromium talks to its makers unless it is told not to; in a container it cannot make a sandbox.
_OPTIONS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")


def with_curl(order: Order) -> None:
    """Send each photograph by a command of its own."""
    headers = [f"{name}: {value}" for name, value in order["headers"].items()]
    options = [option for header in headers for option in ("--header", header)]
    for name, value in order["fields"].items():
        options += ["--form", f"{name}={value}"]
    for path in order["photographs"]:
        command = ["curl", "--silent", "--fail", "--output", os.devnull, *options]
        subprocess.run([*command, "-F", f"image=@{path}", order["url"]], check=True)


def with_chromium(order: Order) -> None:
    """Have a page send them; the server that records gives it the page and the photographs."""
    from playwright.sync_api import sync_playwright

    origin = "{0.scheme}://{0.netloc}".format(urlsplit(order["url"]))
    asked = {name: order[name] for name in ("url", "fields", "headers")}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=_OPTIONS)
        page = browser.new_page()
        page.goto(f"{origin}/")
        page.evaluate(_FETCH, {**asked, "count": len(order["photographs"])})
        browser.close()


def with_permafrost(order: Order) -> None:
    """Send them as Permafrost's own Python client does."""
    from api.client import Client

    address = urlsplit(order["url"])
    with Client(f"{address.scheme}://{address.netloc}", api_key="") as client:
        for path in order["photographs"]:
            client.classify(path, model=order["fields"]["model"])


CLIENTS: dict[str, Callable[[Order], None]] = {
    "curl": with_curl,
    "chromium": with_chromium,
    "permafrost": with_permafrost,
}


def chromium() -> str | None:
    """Return the browser to use: the one that CHROMIUM names, else the one that is installed."""
    named = os.environ.get("CHROMIUM")
    names = [named] if named else ["chromium", "chromium-browser"]
    return next((found for name in names if (found := shutil.which(name))), None)


def missing(client: str) -> str | None:
    """Return in words what a client needs and this machine has not; None where all is there."""
    if client == "chromium" and chromium() is None:
        return "no Chromium: install it (Debian: apt install chromium) or set CHROMIUM"
    if client == "curl" and shutil.which("curl") is None:
        return "no curl"
    return None


if __name__ == "__main__":
    CLIENTS[sys.argv[1]](json.load(sys.stdin))

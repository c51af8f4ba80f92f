"""A real browser, photographs to give it, and a system whose worker is the test itself."""

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import redis
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.support.polling import wait_until
from tests.support.redis_server import RedisServer
from tests.support.system import ROOT, clean_environment, free_port
from worker.jobs.claims import Claims
from worker.jobs.records import Kind, Lane, Outcome
from worker.jobs.store import JobStore
from worker.jobs.submissions import Submission
from worker.models.manifest import ManifestDraft, Tensor
from worker.models.preprocessing import Preprocessing
from worker.models.registry import Registry
from worker.redis.connection import connect
from worker.settings import Settings

# Chromium talks to its makers unless it is told not to; in a container it cannot make a sandbox.
OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


def chromium() -> str | None:
    """Return the browser to use: the one that CHROMIUM names, else the one that is installed."""
    named = os.environ.get("CHROMIUM")
    names = [named] if named else ["/usr/bin/chromium", "chromium", "chromium-browser"]
    return next((found for name in names if (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Run one headless browser with a fresh profile for a file's tests, or skip.

    Not for the session: while Playwright runs, no other test of the process can start a loop of
    asyncio, nor a browser with other options.
    """
    executable = chromium()
    if executable is None:
        pytest.skip("no Chromium: install it (Debian: apt install chromium) or set CHROMIUM")
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=executable, args=OPTIONS)
        yield running
        running.close()


@dataclass
class Visitor:
    """Opens pages and notes what none of them may do: call another host, or meet an error."""

    browser: Browser
    errors: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    refusals: set[int] = field(default_factory=set)  # statuses that the test provokes

    def open(self, url: str, **options: Any) -> Page:
        """Open a page in a context of its own; `options` are the context's."""
        page = self.browser.new_context(**options).new_page()
        page.set_default_timeout(20_000)
        page.on("filechooser", lambda _: None)  # from now on none opens for real
        page.on("request", self._request)
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(url)
        return page

    def _request(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme != "blob":  # a photograph that has not left the page
            self.hosts.add(parts.netloc)

    def _console(self, message: ConsoleMessage) -> None:
        provoked = any(f"with a status of {status}" in message.text for status in self.refusals)
        if message.type in {"error", "warning"} and not provoked:
            self.errors.append(message.text)


@pytest.fixture
def visitor(browser: Browser) -> Iterator[Visitor]:
    """Give a visitor; fail the test if a page met an error or called more than one host."""
    visiting = Visitor(browser)
    yield visiting
    for context in browser.contexts:
        context.close()
    assert not visiting.errors
    assert len(visiting.hosts) == 1, visiting.hosts


def drawn(color: str = "tan") -> bytes:
    """Return a JPEG of something that could be a face with ears."""
    image = Image.new("RGB", (500, 375), "darkslateblue")
    pen = ImageDraw.Draw(image)
    pen.polygon([(150, 150), (190, 60), (240, 140)], color)
    pen.polygon([(260, 140), (310, 60), (350, 150)], color)
    pen.ellipse((140, 100, 360, 320), color)
    for x in (205, 295):
        pen.ellipse((x - 18, 175, x + 18, 211), "yellowgreen")
        pen.ellipse((x - 5, 177, x + 5, 209), "black")
    file = io.BytesIO()
    image.save(file, "JPEG", quality=90)
    return file.getvalue()


@pytest.fixture(scope="session")
def photograph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a photograph of a cat, or a drawing where there are no fixtures."""
    folder = os.environ.get("PERMAFROST_FIXTURES")
    if folder:
        cats = sorted(Path(folder).resolve().glob("tutorial-dogs-cats/images/cats/*.jpg"))
        if cats:
            return cats[0]
    path = tmp_path_factory.mktemp("photographs") / "cat.jpg"
    path.write_bytes(drawn())
    return path


class Idle:
    """An API with a model and a queue but no worker: the test does the work when it wants to."""

    def __init__(self, url: str, client: redis.Redis, settings: Settings) -> None:
        self.url = url
        self.client = client
        self.store = JobStore(client, settings)
        self._claims = Claims(client, settings, "the-test")

    def submit(self, image: bytes) -> str:
        """Send an image as the page's form does and return its job's id."""
        answer = httpx.post(
            self.url, files={"image": image}, headers={"Accept": "application/json"}
        )
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def batch(self, images: int) -> str:
        """Send a batch of pictures and return its job's id."""
        files = [("images", (f"{'n' * 80}-{number}.jpg", drawn())) for number in range(images)]
        answer = httpx.post(f"{self.url}/v1/batches", files=files)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def classify(self, outcomes: list[Outcome]) -> None:
        """Take as many images of batches as there are outcomes, and end each with one."""
        for outcome in outcomes:
            self.work(outcome, Lane.BULK)

    def freeze(self, name: str) -> str:
        """Queue a freeze and return its job's id."""
        submission = Submission(kind=Kind.FREEZE, lane=Lane.FREEZING, options={"name": name})
        return self.store.accept(submission).job_id

    def inspect(self, source: str) -> str:
        """Queue an inspection and return its job's id."""
        options = {"source": source}
        submission = Submission(kind=Kind.INSPECTION, lane=Lane.FREEZING, options=options)
        return self.store.accept(submission).job_id

    def work(self, outcome: Outcome, lane: Lane = Lane.INTERACTIVE) -> None:
        """Take the one item that waits in a lane and end it."""
        claim = self._claims.claim([lane], 1)
        assert claim is not None, "nothing waits"
        assert not self._claims.complete(claim, {claim.items[0].item: outcome})


@pytest.fixture
def idle(idle_api: Idle) -> Idle:
    """Return the idle system with nothing in its queue."""
    idle_api.client.flushall()
    return idle_api


@pytest.fixture(scope="session")
def idle_api(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Idle]:
    """Run the API as gunicorn serves it, over a real Redis, and no worker."""
    folder = tmp_path_factory.mktemp("idle")
    settings = Settings(redis_url=redis_server.url, data=folder / "data")
    graph = folder / "graph.pb"
    graph.write_bytes(b"no worker reads it")
    draft = ManifestDraft(
        name="cats-dogs",
        inputs=[Tensor(name="x:0", shape=[None, 96, 96, 3], dtype="float32")],
        outputs=[Tensor(name="y_pred:0", shape=[None, 2], dtype="float32")],
        labels=["cat", "dog"],
        preprocessing=Preprocessing(size=(96, 96)),
    )
    Registry(settings.models_folder).publish(draft, graph)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = clean_environment(
        REDIS_URL=redis_server.url, PERMAFROST_DATA=str(settings.data), PYTHONPATH=str(ROOT)
    )
    command = [sys.executable, "-m", "gunicorn", "api:create_app()", "--bind", f"127.0.0.1:{port}"]
    threads = ["--worker-class", "gthread", "--threads", "64", "--no-control-socket"]
    with (folder / "api.log").open("w") as log:
        api = subprocess.Popen(
            [*command, *threads], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
    try:
        wait_until(lambda: _answers(url), within_s=30, what="the API answers")
        with connect(settings) as client:
            yield Idle(url, client, settings)
    finally:
        api.terminate()
        api.wait(timeout=30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").status_code == 200
    except httpx.TransportError:
        return False

"""What a page of another origin, which a user happens to open, can do to a system: nothing."""

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.conftest import OPTIONS, chromium
from tests.support.api import photograph
from tests.support.gunicorn import HOST, Api
from tests.support.polling import wait_until

# The user's browser takes these names for this machine's, as a name server of the attacker's would.
REBOUND = ("evil.test", "photos.test")
FOREIGN = ["127.0.0.1", "localhost", "evil.test"]  # hosts of the foreign page, on another port

HELPERS = """
const file = () => new File([new Uint8Array(IMAGE)], "a.png", {type: "image/png"});
const form = (...fields) => {
  const data = new FormData();
  for (const [name, value] of fields) data.append(name, value);
  return data;
};
const send = async (path, options) => {
  try {
    const answer = await fetch(API + path, options);
    return [answer.type, answer.status, await answer.text()];
  } catch (error) { return ["error", 0, String(error)]; }
};
const freeze = () => form(["options", '{"name": "owned"}'], ["files", file(), "graph.pb"]);
const submit = (path, kind, fill) => new Promise((done) => {
  const frame = document.createElement("iframe");
  frame.name = "f" + Math.random();
  const made = document.createElement("form");
  Object.assign(made, {action: API + path, method: "POST", enctype: kind, target: frame.name});
  fill(made);
  document.body.append(frame, made);
  frame.onload = () => done(true);
  setTimeout(() => done(false), 3000);
  made.submit();
});
const input = (name, type) => Object.assign(document.createElement("input"), {name, type});
const attached = (name) => {
  const files = new DataTransfer();
  files.items.add(file());
  return Object.assign(input(name, "file"), {files: files.files});
};
"""
POSTS = {
    "a freeze by fetch": 'send("/v1/freezes", {method: "POST", mode: MODE, body: freeze()})',
    "a prediction by fetch": (
        'send("/v1/predictions", {method: "POST", mode: MODE, body: form(["image", file()])})'
    ),
    "a bare picture by fetch": (
        'send("/v1/predictions", {method: "POST", mode: MODE, body: file()})'
    ),
    "a waiting prediction by fetch": (
        'send("/v1/predictions?wait=1", {method: "POST", mode: MODE, body:'
        ' form(["image", file()])})'
    ),
    "a batch by fetch": (
        'send("/v1/batches", {method: "POST", mode: MODE, body: form(["images", file()])})'
    ),
    "a freeze by beacon": 'navigator.sendBeacon(API + "/v1/freezes", freeze())',
    "a prediction by a form": (
        'submit("/v1/predictions", "multipart/form-data", (made) => made.append(attached("image")))'
    ),
    "a prediction by the page's form": (
        'submit("/", "multipart/form-data", (made) => made.append(attached("image")))'
    ),
}
OTHERS = {
    "a form of text": (
        'submit("/v1/batches", "text/plain", (made) => made.append('
        'Object.assign(input("{\\"open\\": true, \\"x\\": \\"", "text"), {value: "\\"}"})))'
    ),
    "an alias moved": (
        'send("/v1/models/cats-dogs/aliases/stable", {method: "PUT", body: "{\\"version\\": 1}"})'
    ),
    "a version retired": 'send("/v1/models/cats-dogs/versions/1", {method: "DELETE"})',
    "JSON": (
        'send("/v1/batches", {method: "POST", body: "{\\"open\\": true}",'
        ' headers: {"Content-Type": "application/json"}})'
    ),
}
READS = {
    "jobs": 'send("/v1/jobs", {mode: MODE})',
    "models": 'send("/v1/models", {mode: MODE})',
    "a page": 'send("/jobs", {mode: MODE})',
}


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    running = Api(tmp_path_factory.mktemp("pages") / "data")
    yield running
    running.remove()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = chromium()
    if executable is None:
        pytest.skip("no Chromium: install it (Debian: apt install chromium) or set CHROMIUM")
    rules = ",".join(f"MAP {name} 127.0.0.1" for name in REBOUND)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(
            executable_path=executable, args=[*OPTIONS, f"--host-resolver-rules={rules}"]
        )
        yield running
        running.close()


class _Foreign(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>kittens</title>")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def foreign() -> Iterator[int]:
    """Serve a foreign page; give its port."""
    server = ThreadingHTTPServer((HOST, 0), _Foreign)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.set_default_timeout(20_000)
    yield page
    context.close()


def tried(page: Page, target: str, script: str, mode: str = "no-cors") -> Any:
    """Run a script in a page against a target; return what it saw."""
    known = {"API": target, "MODE": mode, "IMAGE": list(photograph())}
    constants = "".join(f"const {name} = {json.dumps(value)};" for name, value in known.items())
    return page.evaluate(f"async () => {{ {constants}{HELPERS} return await {script}; }}")


def state(api: Api) -> tuple[list[str], Any]:
    """Return the jobs and the models of a system."""
    with httpx.Client(base_url=f"http://{HOST}:{api.ports[0]}", timeout=20) as client:
        jobs = client.get("/v1/jobs").json()["jobs"]
        return [job["id"] for job in jobs], client.get("/v1/models").json()


def new_jobs(api: Api, before: set[str]) -> set[str]:
    return set(state(api)[0]) - before


@pytest.mark.parametrize("host", FOREIGN)
@pytest.mark.parametrize("target", ["127.0.0.1", "localhost"])
def test_a_foreign_page_can_neither_change_nor_read_anything(
    api: Api, page: Page, foreign: int, host: str, target: str
) -> None:
    before = state(api)
    page.goto(f"http://{host}:{foreign}/")
    url = f"http://{target}:{api.ports[0]}"
    for script in (*POSTS.values(), *OTHERS.values(), *READS.values()):
        seen = tried(page, url, script)
        assert not isinstance(seen, list) or (seen[1] == 0 and "{" not in seen[2]), (script, seen)
    for script in (*POSTS.values(), *READS.values()):
        seen = tried(page, url, script, "cors")
        assert not isinstance(seen, list) or seen[0] == "error", (script, seen)
    shown = """new Promise((done) => {
        const image = new Image();
        image.onload = () => done("shown");
        image.onerror = () => done("not shown");
        image.src = API + "/static/crystal.svg";
    })"""
    assert tried(page, url, shown) == "not shown"
    assert state(api) == before


def test_a_name_that_was_made_to_lead_here_can_neither_change_nor_read_anything(
    api: Api, page: Page
) -> None:
    before = state(api)
    url = f"http://evil.test:{api.ports[0]}"

    answer = page.goto(url)  # a refusal is a document of that origin too; scripts are run in it
    assert answer is not None
    assert answer.status == 421
    assert "PERMAFROST_ALLOWED_HOSTS=evil.test" in page.content()
    for script in (*POSTS.values(), *OTHERS.values(), *READS.values()):
        seen = tried(page, url, script, "same-origin")
        if isinstance(seen, list):
            assert seen[1] == 421, (script, seen)
            assert "PERMAFROST_ALLOWED_HOSTS=evil.test" in seen[2]
    assert state(api) == before


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_our_own_pages_can_do_all_of_that(api: Api, page: Page, host: str) -> None:
    url = f"http://{host}:{api.ports[0]}"
    page.goto(f"{url}/jobs")
    page.evaluate("document.body.replaceChildren()")
    for name, script in POSTS.items():
        jobs = set(state(api)[0])
        seen = tried(page, url, script, "same-origin")
        if isinstance(seen, list):
            assert seen[1] == 202, (name, seen)
        # A beacon and a form in a frame are sent while the script goes on.
        new = wait_until(partial(new_jobs, api, jobs), within_s=20, what=name)
        assert len(new) == 1, name
    for script in READS.values():
        assert tried(page, url, script, "same-origin")[1] == 200
    seen = tried(page, url, OTHERS["an alias moved"], "same-origin")
    assert seen[1] in (200, 400), seen  # it has no content type of JSON


def test_the_form_of_the_page_works_without_scripts(
    api: Api, browser: Browser, tmp_path: Path
) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(photograph())
    for host in ("127.0.0.1", "localhost"):
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(f"http://{host}:{api.ports[0]}/")
        page.set_input_files("input[type=file]", str(picture))
        page.locator("form button").first.click()
        page.wait_for_url("**/jobs/*")
        context.close()


def test_a_page_that_the_operator_trusts_can_send_and_read(
    page: Page, foreign: int, tmp_path: Path
) -> None:
    trusted, other = f"http://localhost:{foreign}", f"http://127.0.0.1:{foreign}"
    api = Api(tmp_path / "data", PERMAFROST_ALLOWED_ORIGINS=trusted)
    try:
        url = f"http://{HOST}:{api.ports[0]}"
        page.goto(other)
        assert tried(page, url, READS["jobs"], "cors")[0] == "error"
        assert tried(page, url, OTHERS["JSON"])[0] == "error"
        assert new_jobs(api, set()) == set()
        page.goto(trusted)
        for script in (POSTS["a waiting prediction by fetch"], OTHERS["JSON"]):
            kind, status, text = tried(page, url, script, "cors")
            assert (kind, status) == ("cors", 202), text
            assert json.loads(text)["id"]
        assert tried(page, url, READS["jobs"], "cors")[:2] == ["cors", 200]
        refused = tried(page, url, 'send("/v1/jobs/none", {})')
        assert (refused[1], json.loads(refused[2])["code"]) == (404, "not_found")
        assert len(new_jobs(api, set())) == 2
    finally:
        api.remove()

"""Signing in with an API key, in a real browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.support.gunicorn import HOST, Api
from tests.support.polling import wait_until
from worker.credentials.api_key import Scope
from worker.credentials.key_store import KeyStore
from worker.redis.connection import connect
from worker.settings import Settings


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    running = Api(tmp_path_factory.mktemp("sign-in") / "data", PERMAFROST_ACCESS="keys")
    yield running
    running.remove()


@pytest.fixture
def store(api: Api) -> Iterator[KeyStore]:
    with connect(Settings(redis_url=api.redis.url)) as client:
        client.flushall()
        yield KeyStore(client)


def sign_in(page: Page, secret: str) -> None:
    page.get_by_label("API key").fill(secret)
    page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_who_signs_in_sees_the_page_asked_for_until_the_key_is_revoked(
    api: Api, store: KeyStore, visitor: Visitor, width: int, scheme: str
) -> None:
    made = store.create("phone", frozenset({Scope.READ}))
    visitor.refusals = {401, 403}
    url = f"http://{HOST}:{api.ports[0]}"
    look = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    page = visitor.open(f"{url}/models", **look)
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
    sign_in(page, "pf_made_up")
    expect(page.get_by_role("alert")).to_be_visible()
    sign_in(page, made.secret)
    expect(page.get_by_role("heading", name="Models")).to_be_visible()
    assert page.url == f"{url}/models"
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert made.secret not in page.content() + str(cookie)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("fetch('/v1/models').then((answer) => answer.status)") == 200
    assert page.evaluate("fetch('/v1/keys').then((answer) => answer.status)") == 403
    store.revoke(made.key.id)

    def out() -> bool:
        page.reload()
        return bool(page.get_by_role("heading", name="Sign in").is_visible())

    # What a process knows of a key may be a second old (docs/keys.md).
    wait_until(out, within_s=10, what="the session ends with its key", every_s=0.2)


def test_who_signs_out_is_out(api: Api, store: KeyStore, visitor: Visitor) -> None:
    made = store.create("phone", frozenset({Scope.READ}))
    visitor.refusals = {401}
    page = visitor.open(f"http://{HOST}:{api.ports[0]}/jobs")
    sign_in(page, made.secret)
    expect(page.get_by_role("heading", name="Jobs", exact=True)).to_be_visible()
    kept = page.context.cookies()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
    page.context.add_cookies(kept)
    page.goto(f"http://{HOST}:{api.ports[0]}/jobs")
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()

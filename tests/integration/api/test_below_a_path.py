"""An API behind a proxy that serves it below a path, and tells so."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import redis
from flask.testing import FlaskClient

from tests.support.api import photograph, publish, web_client
from tests.support.gunicorn import HOST, Api
from worker.settings import Settings

PREFIX = "/tools/permafrost"
TOLD = {
    "X-Forwarded-For": "192.0.2.1",
    "X-Forwarded-Prefix": PREFIX,
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "192.0.2.7",
}


@pytest.fixture
def web(client: redis.Redis, settings: Settings) -> Iterator[FlaskClient]:
    publish(settings)
    with web_client(settings.model_copy(update={"trusted_proxies": 1})) as web:
        yield web


@pytest.mark.parametrize("path", ["/", "/jobs", "/models", "/workers", "/docs"])
def test_all_links_of_a_page_begin_with_it(web: FlaskClient, path: str) -> None:
    page = web.get(path, headers={**TOLD, "Accept": "text/html"})
    assert page.status_code == 200
    own = re.findall(r'(?:href|src|action)="(/[^"]*)"', page.text)
    assert len(own) > 5
    assert [link for link in own if not link.startswith(f"{PREFIX}/")] == []
    if path in ("/jobs", "/models", "/workers"):
        assert f'<a href="{PREFIX}{path}" aria-current="page">' in page.text


def test_answers_lead_there(web: FlaskClient) -> None:
    answer = web.post("/v1/batches", json={"open": True}, headers=TOLD)
    assert answer.status_code == 202, answer.text
    job = answer.get_json()
    assert answer.headers["Location"] == f"{PREFIX}/v1/jobs/{job['id']}"
    assert {link.startswith(f"{PREFIX}/v1/") for link in job["links"].values()} == {True}
    page = web.get(f"/jobs/{job['id']}", headers=TOLD)
    assert f"https://192.0.2.7{PREFIX}/jobs/{job['id']}" in page.text
    assert web.get("/openapi.json", headers=TOLD).get_json()["servers"] == [{"url": PREFIX}]
    assert web.get("/openapi.json").get_json()["servers"] == [{"url": "/"}]


@pytest.mark.parametrize("prefix", ["//evil.test", "/a b", "evil.test", "/<script>"])
def test_what_is_no_path_is_refused(web: FlaskClient, prefix: str) -> None:
    answer = web.get("/v1/jobs", headers={**TOLD, "X-Forwarded-Prefix": prefix})
    assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_request")


def test_it_is_not_believed_without_a_trusted_proxy(
    client: redis.Redis, settings: Settings
) -> None:
    publish(settings)
    with web_client(settings) as web:
        answer = web.post("/v1/batches", json={"open": True}, headers={"X-Forwarded-Prefix": "/x"})
        assert answer.headers["Location"].startswith("/v1/jobs/")


def test_gunicorn_takes_a_script_name(tmp_path: Path) -> None:
    api = Api(tmp_path / "data", SCRIPT_NAME=PREFIX)
    try:
        with httpx.Client(base_url=f"http://{HOST}:{api.ports[0]}{PREFIX}") as client:
            answer = client.post(
                "/v1/predictions", files={"image": photograph()}, headers={"Prefer": "wait=0.1"}
            )
            assert answer.status_code == 202
            assert answer.headers["Location"].startswith(f"{PREFIX}/v1/jobs/")
    finally:
        api.remove()

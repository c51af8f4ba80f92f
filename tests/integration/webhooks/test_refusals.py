"""Webhooks that the API refuses, and what it says about them."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from tests.support.api import assert_problem, photograph, publish, web_client
from tests.support.webhook_jobs import finish, photograph_file, submit
from tests.support.work import Work
from worker.settings import Settings
from worker.webhooks.signatures import make_secret

BAD = "https://127.0.0.9/hook"


@pytest.mark.parametrize(
    "send",
    [
        lambda web: web.post("/v1/predictions", query_string={"webhook": BAD}, data=photograph()),
        lambda web: web.post(
            "/v1/predictions", data={"webhook": BAD, "image": (photograph_file(), "a.png")}
        ),
        lambda web: web.post("/v1/batches", json={"open": True, "webhook": BAD}),
        lambda web: web.post("/v1/batches", json={"folder": ".", "webhook": BAD}),
        lambda web: web.post(
            "/v1/batches", data={"webhook": BAD, "images": (photograph_file(), "a.png")}
        ),
        lambda web: web.post("/v1/freezes", json={"source": "x", "name": "m", "webhook": BAD}),
        lambda web: web.post(
            "/v1/freezes",
            data={
                "options": json.dumps({"name": "m", "webhook": BAD}),
                "files": (photograph_file(), "a.pb"),
            },
        ),
        lambda web: web.post("/v1/inspections", json={"source": "x", "webhook": BAD}),
    ],
)
def test_a_receiver_that_is_not_public_is_refused_on_every_way_in(
    web: FlaskClient, client: redis.Redis, send: Callable[[FlaskClient], Any]
) -> None:
    problem = assert_problem(send(web), 422, "invalid_webhook")
    assert problem["detail"].startswith("webhook: 127.0.0.9 is not a public host.")
    assert client.keys("permafrost:job:*") == []
    assert client.keys("permafrost:chunk:*") == []


@pytest.mark.parametrize("value", [7, True, ["https://example.com"], {"url": "x"}])
def test_a_webhook_that_is_no_text_is_refused(web: FlaskClient, value: Any) -> None:
    answer = web.post("/v1/batches", json={"open": True, "webhook": value})
    assert_problem(answer, 422, "invalid_webhook")
    answer = web.post("/v1/freezes", json={"source": "x", "name": "m", "webhook": value})
    assert_problem(answer, 400, "invalid_request")


def test_without_a_secret_webhooks_are_refused_with_what_to_type(settings: Settings) -> None:
    publish(settings)
    with web_client(settings) as web:
        answer = web.post("/v1/batches", json={"open": True, "webhook": "https://example.com/"})
        problem = assert_problem(answer, 422, "webhooks_off")
        assert "./permafrost webhooks secret" in problem["detail"]
        make_secret(settings)
        answer = web.post("/v1/batches", json={"open": True, "webhook": "https://example.com/"})
        assert answer.status_code == 202


def test_a_host_that_takes_nothing_for_long_is_refused(
    settings: Settings, client: redis.Redis
) -> None:
    settings = settings.model_copy(update={"webhook_max_waiting": 2})
    make_secret(settings)
    publish(settings)
    work = Work(client, settings)
    with web_client(settings) as web:
        for top in (1, 2):
            submit(web, "https://127.0.0.1/", top=top)
            finish(work)
        answer = web.post(
            "/v1/predictions", query_string={"webhook": "https://127.0.0.1/"}, data=photograph()
        )
        problem = assert_problem(answer, 503, "overloaded")
        assert problem["detail"].startswith("2 webhooks wait for 127.0.0.1")
        submit(web, "https://127.0.0.2/")


def test_a_key_that_was_used_with_another_receiver_is_refused(web: FlaskClient) -> None:
    headers = {"Idempotency-Key": "one"}
    asked = {"open": True, "webhook": "https://example.com/a"}
    first = web.post("/v1/batches", json=asked, headers=headers)
    assert web.post("/v1/batches", json=asked, headers=headers).get_json() == first.get_json()
    asked["webhook"] = "https://example.com/b"
    answer = web.post("/v1/batches", json=asked, headers=headers)
    assert_problem(answer, 422, "idempotency_key_reused")

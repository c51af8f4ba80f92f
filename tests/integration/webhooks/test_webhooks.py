"""Webhooks: from the submission to a real receiver, through a real Redis and a real deliverer."""

import io
import json
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from standardwebhooks.webhooks import Webhook

from tests.support.api import assert_problem, photograph, publish, web_client
from tests.support.polling import wait_until
from tests.support.receiver import Heard, Receiver
from tests.support.system import ROOT, clean_environment
from tests.support.webhooks import DelivererProcess, environment_of, make_due
from tests.support.work import Work, failure, filled, prediction, success
from worker.contract.base import as_json
from worker.contract.webhooks import JobEnded
from worker.errors import WebhooksOffError
from worker.jobs.batches import Batches
from worker.jobs.keys import key
from worker.jobs.records import Lane
from worker.settings import Settings
from worker.webhooks.deliveries import Deliveries
from worker.webhooks.signatures import known_secrets, make_secret, secret_file
from worker.webhooks.targets import AllowedHosts, Target

RESULT = {"predictions": [{"label": "cat", "score": 0.97}]}
HOSTS = "127.0.0.1,127.0.0.2"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"webhook_hosts": HOSTS, "folders": str(settings.data)})


@pytest.fixture
def secret(settings: Settings) -> str:
    return make_secret(settings)[0]


@pytest.fixture
def web(settings: Settings, secret: str) -> Iterator[FlaskClient]:
    publish(settings)
    with web_client(settings) as web:
        yield web


@pytest.fixture
def work(client: redis.Redis, settings: Settings) -> Work:
    return Work(client, settings)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    running = Receiver(tmp_path, "127.0.0.1")
    yield running
    running.close()


@pytest.fixture
def deliverer(
    client: redis.Redis, settings: Settings, receiver: Receiver, tmp_path: Path
) -> Iterator[DelivererProcess]:
    process = DelivererProcess(
        client,
        settings,
        tmp_path,
        **environment_of(receiver.authority_file),
        PERMAFROST_WEBHOOK_HOSTS=HOSTS,
        PERMAFROST_WEBHOOK_TIMEOUT_S="2",
        PERMAFROST_WEBHOOK_RETRIES="5,300,1800",
        PERMAFROST_WEBHOOK_HOST_CONCURRENCY="2",
    )
    yield process
    process.kill()


def submit(web: FlaskClient, url: str, **query: Any) -> dict[str, Any]:
    """Submit a prediction with a webhook and return its job."""
    answer = web.post(
        "/v1/predictions",
        query_string={"webhook": url, **query},
        data=photograph(),
        content_type="image/png",
    )
    assert answer.status_code == 202, answer.text
    return dict(answer.get_json())


def finish(work: Work) -> None:
    """Do all that waits."""
    while claim := work.claims.claim((Lane.INTERACTIVE,), 16):
        work.claims.complete(claim, success(claim, RESULT))


def state(web: FlaskClient, job_id: str) -> dict[str, Any]:
    return dict(web.get(f"/v1/jobs/{job_id}").get_json()["webhook"])


def await_state(web: FlaskClient, job_id: str, name: str, *, attempts: int = 1) -> dict[str, Any]:
    def reached() -> dict[str, Any]:
        found = state(web, job_id)
        return found if (found["state"], found["attempts"]) == (name, attempts) else {}

    return wait_until(reached, within_s=20, what=f"the webhook is {name} after {attempts}")


def verified(secret: str, heard: Heard) -> dict[str, Any]:
    """Return what a receiver reads, once the signature has been checked by another's code."""
    return dict(Webhook(secret).verify(heard.body, heard.headers))


# -- from the submission to the receiver --------------------------------------------------------


def test_a_receiver_is_told_of_a_prediction_and_can_tell_that_it_is_true(
    web: FlaskClient, work: Work, secret: str, receiver: Receiver, deliverer: DelivererProcess
) -> None:
    deliverer.start()
    job = submit(web, receiver.url("/status/204?token=t0ps3cret"))
    shown = f"https://127.0.0.1:{receiver.port}/..."
    assert job["webhook"] == {
        "url": shown,
        "state": "waiting",
        "attempts": 0,
        "last_error": None,
        "next_attempt_at": None,
    }
    finish(work)
    found = await_state(web, job["id"], "delivered")
    assert found == {
        "url": shown,
        "state": "delivered",
        "attempts": 1,
        "last_error": None,
        "next_attempt_at": None,
    }
    (heard,) = receiver.heard
    assert heard.path == "/status/204?token=t0ps3cret"
    assert heard.headers["content-type"] == "application/json"
    assert heard.headers["webhook-id"] == f"msg_{job['id']}-1"
    told = verified(secret, heard)
    assert list(told) == ["type", "timestamp", "data"]
    assert as_json(JobEnded.model_validate(told)) == told  # as the document says
    assert told["type"] == "job.succeeded"
    read = web.get(f"/v1/jobs/{job['id']}").get_json()
    assert told["timestamp"] == read["finished_at"]
    assert {**told["data"], "webhook": None} == {**read, "webhook": None}
    assert "t0ps3cret" not in json.dumps(read) + heard.body.decode() + deliverer.log()
    assert secret not in json.dumps(read) + heard.body.decode() + deliverer.log()
    assert deliverer.memory_bytes() < 90e6
    assert deliverer.row() == {**(deliverer.row() or {}), "queues": ["webhooks"], "state": "ready"}
    assert deliverer.stop() == 0


def test_every_kind_of_job_tells_however_it_ends(
    web: FlaskClient,
    work: Work,
    client: redis.Redis,
    settings: Settings,
    secret: str,
    receiver: Receiver,
    deliverer: DelivererProcess,
) -> None:
    url = receiver.url()
    (settings.data / "photos").mkdir(parents=True)
    failed = submit(web, url)
    claim = work.claim()
    work.claims.complete(claim, failure(claim))
    source = {"source": "nothing", "webhook": url}
    (settings.data / "sources").mkdir()
    freeze = web.post("/v1/freezes", json={**source, "name": "m"}).get_json()
    inspection = web.post("/v1/inspections", json=source).get_json()
    folder = web.post("/v1/batches", json={"folder": "photos", "webhook": url}).get_json()
    opened = web.post("/v1/batches", json={"open": True, "webhook": url}).get_json()
    form = {"webhook": url, "images": (photograph_file(), "a.png")}
    sent = web.post("/v1/batches", data=form).get_json()
    for job in (freeze, inspection, folder):
        assert web.delete(f"/v1/jobs/{job['id']}").status_code == 200
    web.post(f"/v1/batches/{opened['id']}/seal")
    claim = work.claim()
    result = [["cat", 0.9], ["dog", 0.1]]
    outcomes = success(claim, result)
    work.claims.complete(claim, outcomes)
    deliverer.start()
    wait_until(lambda: len(receiver.heard) == 6, within_s=20, what="six webhooks")
    told = {body["data"]["id"]: body for body in (verified(secret, h) for h in receiver.heard)}
    assert {job_id: body["type"] for job_id, body in told.items()} == {
        failed["id"]: "job.failed",
        freeze["id"]: "job.cancelled",
        inspection["id"]: "job.cancelled",
        folder["id"]: "job.cancelled",
        opened["id"]: "job.failed",  # no image was in it
        sent["id"]: "job.succeeded",
    }
    assert told[failed["id"]]["data"]["error"]["code"] == "truncated"
    assert told[sent["id"]]["data"]["progress"]["succeeded"] == 1
    assert told[freeze["id"]]["data"]["log"] == []
    assert client.keys("permafrost:webhook*") == []


def photograph_file() -> io.BytesIO:
    return io.BytesIO(photograph())


def test_a_batch_tells_again_when_what_failed_was_tried_again(
    web: FlaskClient,
    work: Work,
    client: redis.Redis,
    settings: Settings,
    secret: str,
    receiver: Receiver,
    deliverer: DelivererProcess,
) -> None:
    form = {"webhook": receiver.url(), "images": (photograph_file(), "a.png")}
    job = web.post("/v1/batches", data=form).get_json()
    claim = work.claim()
    work.claims.complete(claim, failure(claim))
    Batches(client, settings).retry(job["id"])
    claim = work.claim()
    work.claims.complete(claim, success(claim, [["cat", 1.0]]))
    deliverer.start()
    await_state(web, job["id"], "delivered")
    wait_until(lambda: len(receiver.heard) == 2, within_s=20, what="both")
    bodies = {heard.headers["webhook-id"]: verified(secret, heard) for heard in receiver.heard}
    types = [bodies[f"msg_{job['id']}-{n}"]["type"] for n in (1, 2)]
    assert types == ["job.failed", "job.succeeded"]


def test_a_job_without_a_webhook_says_nothing_of_one(web: FlaskClient, work: Work) -> None:
    job_id = work.accept()
    assert "webhook" not in web.get(f"/v1/jobs/{job_id}").get_json()


# -- what goes wrong -----------------------------------------------------------------------------


def test_what_is_not_taken_is_sent_again_under_the_same_id_until_it_is_given_up(
    web: FlaskClient,
    work: Work,
    client: redis.Redis,
    secret: str,
    receiver: Receiver,
    deliverer: DelivererProcess,
) -> None:
    deliverer.start()
    job = submit(web, receiver.url("/status/500"))
    finish(work)
    found = await_state(web, job["id"], "pending")
    assert found["last_error"] == "The receiver answered 500."
    assert found["next_attempt_at"]
    for attempt in (2, 3):
        make_due(client)
        await_state(web, job["id"], "pending", attempts=attempt)
    make_due(client)
    found = await_state(web, job["id"], "failed", attempts=4)
    assert (found["last_error"], found["next_attempt_at"]) == ("The receiver answered 500.", None)
    assert len({heard.headers["webhook-id"] for heard in receiver.heard}) == 1
    assert len({heard.body for heard in receiver.heard}) == 1
    assert len([verified(secret, heard) for heard in receiver.heard]) == 4
    assert client.keys("permafrost:webhook*") == []
    assert client.hget(key("totals"), "webhook:failed") == b"1"
    assert "permafrost_webhooks_total" in web.get("/metrics").text


def test_a_receiver_that_wants_no_more_or_is_not_public_is_given_up_at_once(
    web: FlaskClient, work: Work, receiver: Receiver, deliverer: DelivererProcess
) -> None:
    gone = submit(web, receiver.url("/status/410"))
    # Allowed when it was submitted, and no more by the operator's list of the deliverer.
    target = Target.parse("http://127.0.0.3:81/x", AllowedHosts("127.0.0.3"))
    refused = work.accept(prediction(webhook=target))
    finish(work)
    deliverer.start()
    assert await_state(web, gone["id"], "failed")["last_error"] == "The receiver answered 410."
    assert "PERMAFROST_WEBHOOK_HOSTS" in await_state(web, refused, "failed")["last_error"]


def test_a_deliverer_that_is_killed_in_the_middle_loses_nothing(
    web: FlaskClient,
    work: Work,
    client: redis.Redis,
    secret: str,
    receiver: Receiver,
    deliverer: DelivererProcess,
) -> None:
    deliverer.start()
    job = submit(web, receiver.url("/silent"))
    finish(work)
    wait_until(lambda: receiver.heard, within_s=20, what="the receiver has it")
    deliverer.kill()
    assert state(web, job["id"])["state"] == "pending"
    deliverer.start()
    make_due(client)  # as if the lease had run out
    wait_until(lambda: len(receiver.heard) == 2, within_s=20, what="it is sent again")
    first, second = receiver.heard
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert verified(secret, first) == verified(secret, second)
    await_state(web, job["id"], "pending")  # the one that was killed counts for nothing


def test_a_deliverer_that_comes_too_late_leaves_no_trace(
    web: FlaskClient, work: Work, client: redis.Redis, settings: Settings
) -> None:
    submit(web, "https://127.0.0.1/")
    finish(work)
    late, other = Deliveries(client, settings), Deliveries(client, settings)
    (held,) = late.take(8, {}).deliveries
    assert other.take(8, {}).deliveries == []
    make_due(client)
    (again,) = other.take(8, {}).deliveries
    assert (held.id, held.body) == (again.id, again.body)
    assert not late.settle(held, "delivered")
    assert other.settle(again, "delivered")
    assert not other.settle(again, "delivered")


def test_a_deliverer_that_is_stopped_hands_back_what_it_has(
    web: FlaskClient,
    work: Work,
    client: redis.Redis,
    settings: Settings,
    receiver: Receiver,
    tmp_path: Path,
) -> None:
    deliverer = DelivererProcess(
        client,
        settings,
        tmp_path,
        **environment_of(receiver.authority_file),
        PERMAFROST_WEBHOOK_HOSTS=HOSTS,
        PERMAFROST_STOP_GRACE_S="1",
    )
    deliverer.start()
    job = submit(web, receiver.url("/silent"))
    finish(work)
    wait_until(lambda: receiver.heard, within_s=20, what="the receiver has it")
    assert deliverer.stop() == 0
    assert state(web, job["id"])["attempts"] == 0
    assert Deliveries(client, settings).take(8, {}).deliveries, "it is due at once"


def test_a_receiver_that_hangs_holds_up_no_other(
    web: FlaskClient, work: Work, receiver: Receiver, tmp_path: Path, deliverer: DelivererProcess
) -> None:
    others = tmp_path / "other"
    others.mkdir()
    quick = Receiver(others, "127.0.0.2", address="127.0.0.2", tls=False)
    try:
        slow = [submit(web, receiver.url("/silent"), top=n)["id"] for n in range(1, 41)]
        fast = [submit(web, quick.url(), top=n)["id"] for n in range(1, 6)]
        finish(work)
        deliverer.start()
        wait_until(lambda: len(quick.heard) == 5, within_s=10, what="the others are served")
        assert len(receiver.heard) <= 10  # two at a time, two seconds each
        assert {state(web, job_id)["state"] for job_id in fast} == {"delivered"}
        assert {state(web, job_id)["state"] for job_id in slow} == {"pending"}
    finally:
        quick.close()


def test_webhooks_are_written_and_settled_when_redis_is_full(
    web: FlaskClient, work: Work, client: redis.Redis, settings: Settings
) -> None:
    submit(web, "https://127.0.0.1/")
    claim = work.claim()
    with filled(client):
        work.claims.complete(claim, success(claim, RESULT))
        deliveries = Deliveries(client, settings)
        (held,) = deliveries.take(8, {}).deliveries
        assert deliveries.settle(held, "pending", error="No.", wait_s=5)
        make_held = deliveries.take(8, {})
        assert make_held.deliveries == []
        assert make_held.next_s is not None
        assert 0 < make_held.next_s <= 5


def test_an_answer_to_a_forgotten_job_brings_nothing_back(
    web: FlaskClient, work: Work, client: redis.Redis, settings: Settings
) -> None:
    job = submit(web, "https://127.0.0.1/")
    finish(work)
    (held,) = Deliveries(client, settings).take(8, {}).deliveries
    work.let_expire(job["id"])
    work.sweep()
    assert Deliveries(client, settings).settle(held, "pending", error="No.", wait_s=5)
    assert client.exists(key("job", job["id"])) == 0


# -- what is refused -----------------------------------------------------------------------------

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


# -- secrets ------------------------------------------------------------------------------------


def secret_command(data: Path, *options: str, **environment: str) -> Any:
    return subprocess.run(
        [sys.executable, "-m", "deploy", "webhooks", "secret", "--data", str(data), *options],
        cwd=ROOT,
        env=clean_environment(**environment),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_secret_is_made_once_shown_again_and_renewed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    first = secret_command(data).stdout.strip()
    assert first.startswith("whsec_")
    assert secret_command(data).stdout.strip() == first
    second = secret_command(data, "--new").stdout.strip()
    assert second != first
    settings = Settings(data=data)
    assert known_secrets(settings) == (second, first)  # both sign, until the next one
    assert stat.S_IMODE(secret_file(settings).stat().st_mode) == 0o600
    third = secret_command(data, "--new").stdout.strip()
    assert known_secrets(settings) == (third, second)


def test_the_setting_comes_before_the_file(tmp_path: Path) -> None:
    given = make_secret(Settings(data=tmp_path / "elsewhere"))[0]
    data = tmp_path / "data"
    shown = secret_command(data, PERMAFROST_WEBHOOK_SECRET=given)
    assert shown.stdout.strip() == given
    renewed = secret_command(data, "--new", PERMAFROST_WEBHOOK_SECRET=given)
    assert renewed.returncode == 1
    assert "PERMAFROST_WEBHOOK_SECRET" in renewed.stderr
    assert not data.exists()


@pytest.mark.parametrize("wrong", ["whsec_", "whsec_c2hvcnQ=", "s3cretsecret", "whsec_!!!!"])
def test_a_secret_that_is_none_is_refused_without_being_shown(tmp_path: Path, wrong: str) -> None:
    shown = secret_command(tmp_path, PERMAFROST_WEBHOOK_SECRET=wrong)
    assert shown.returncode != 0
    assert "Traceback" not in shown.stderr
    assert "PERMAFROST_WEBHOOK_SECRET" in shown.stderr
    if len(wrong) > 6:
        assert wrong not in shown.stdout + shown.stderr
    with pytest.raises(WebhooksOffError):
        known_secrets(Settings(data=tmp_path))


def test_while_two_secrets_are_valid_both_sign(
    settings: Settings,
    web: FlaskClient,
    work: Work,
    secret: str,
    receiver: Receiver,
    deliverer: DelivererProcess,
) -> None:
    deliverer.start()
    newer = make_secret(settings, renew=True)[0]
    submit(web, receiver.url())
    finish(work)
    wait_until(lambda: receiver.heard, within_s=20, what="it is told")
    assert verified(secret, receiver.heard[0]) == verified(newer, receiver.heard[0])


def test_work_of_other_lanes_is_not_touched(work: Work, web: FlaskClient) -> None:
    submit(web, "https://127.0.0.1/")
    finish(work)
    assert work.nothing_waits()
    assert work.claims.claim([Lane.FREEZING], 1) is None

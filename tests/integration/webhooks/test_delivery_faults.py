"""Deliveries that fail: receivers that refuse or hang, killed deliverers, a full Redis."""

from pathlib import Path

import redis
from flask.testing import FlaskClient

from tests.support.polling import wait_until
from tests.support.receiver import Receiver
from tests.support.webhook_jobs import HOSTS, RESULT, await_state, finish, state, submit, verified
from tests.support.webhooks import DelivererProcess, environment_of, make_due
from tests.support.work import Work, filled, prediction, success
from worker.jobs.keys import key
from worker.settings import Settings
from worker.webhooks.deliveries import Deliveries
from worker.webhooks.targets import AllowedHosts, Target


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

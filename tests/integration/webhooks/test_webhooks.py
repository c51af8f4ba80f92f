"""Webhooks: from the submission to a real receiver, through a real Redis and a real deliverer."""

import json

import redis
from flask.testing import FlaskClient

from tests.support.polling import wait_until
from tests.support.receiver import Receiver
from tests.support.webhook_jobs import await_state, finish, photograph_file, submit, verified
from tests.support.webhooks import DelivererProcess
from tests.support.work import Work, failure, success
from worker.contract.base import as_json
from worker.contract.webhooks import JobEnded
from worker.jobs.batches import Batches
from worker.jobs.records import Lane
from worker.settings import Settings


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


def test_work_of_other_lanes_is_not_touched(work: Work, web: FlaskClient) -> None:
    submit(web, "https://127.0.0.1/")
    finish(work)
    assert work.nothing_waits()
    assert work.claims.claim([Lane.FREEZING], 1) is None

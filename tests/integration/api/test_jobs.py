"""`/v1/jobs`: reading, waiting, following, listing and cancelling, without workers."""

import gzip
import json
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from api.described import examples
from api.services import LoopServices
from api.views import events as events_module
from tests.support.api import assert_problem, web_client
from tests.support.polling import wait_until
from tests.support.work import ANSWERED, Work, failure, freeze, success
from worker.jobs.log_lines import LogLine
from worker.jobs.records import Lane
from worker.jobs.submissions import new_job_id
from worker.settings import Settings

PUBLISHED = examples.FREEZE.model_dump(mode="json")["result"]


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_waiting": 2, "max_wait_s": 5.0})


def take_place(web: FlaskClient) -> bool:
    """Take one of the places of requests that wait, if one is free."""

    async def take(services: LoopServices) -> bool:
        return services.take_slot()

    return bool(web.application.extensions["services"].loop.run(take))


def leave_place(web: FlaskClient) -> None:
    async def leave(services: LoopServices) -> None:
        services.release_slot()

    web.application.extensions["services"].loop.run(leave)


def _succeed(work: Work, result: Any = ANSWERED) -> None:
    claim = work.claim()
    work.claims.complete(claim, success(claim, result))


# -- reading ----------------------------------------------------------------------------------


def test_a_job_is_shown_with_everything_that_the_contract_names(
    web: FlaskClient, work: Work
) -> None:
    job_id = work.accept()
    _succeed(work, {"predictions": [{"label": "cat", "score": 0.97}]})
    job = web.get(f"/v1/jobs/{job_id}").get_json()
    assert list(job) == [
        *("id", "kind", "status", "model", "created_at", "started_at", "finished_at"),
        *("expires_at", "progress", "result", "error", "attempts", "links"),
    ]
    assert job["id"] == job_id
    assert job["result"] == {"predictions": [{"label": "cat", "score": 0.97}]}
    assert job["progress"] == {"total": 1, "succeeded": 1, "failed": 0}
    assert job["created_at"] <= job["started_at"] <= job["finished_at"] < job["expires_at"]
    assert job["finished_at"].endswith("Z")


def test_a_job_says_why_it_was_put_back_into_its_queue(web: FlaskClient, work: Work) -> None:
    job_id = work.accept()
    assert "requeued" not in web.get(f"/v1/jobs/{job_id}").get_json()
    work.claims.release(work.claim(), "The worker <stopped>.", counts=True)
    put_back = web.get(f"/v1/jobs/{job_id}").get_json()["requeued"]
    assert put_back["reason"] == "The worker <stopped>."
    assert put_back["at"].endswith("Z")
    _succeed(work, {"predictions": [{"label": "cat", "score": 0.97}]})
    assert web.get(f"/v1/jobs/{job_id}").get_json()["requeued"] == put_back
    page = web.get(f"/jobs/{job_id}").get_data(as_text=True)
    assert "Last put back" in page
    assert "The worker &lt;stopped&gt;." in page


def test_a_failed_job_says_why(web: FlaskClient, work: Work) -> None:
    job_id = work.accept()
    claim = work.claim()
    work.claims.complete(claim, failure(claim))
    response = web.get(f"/v1/jobs/{job_id}")
    assert response.status_code == 200
    assert response.get_json()["error"] == {"code": "truncated", "message": "It is."}


@pytest.mark.parametrize("method", ["get", "delete"])
@pytest.mark.parametrize("suffix", ["", "/events"])
def test_unknown_jobs_are_404(web: FlaskClient, method: str, suffix: str) -> None:
    if (method, suffix) == ("delete", "/events"):
        return
    for job_id in (new_job_id(), "nonsense", "..%2f..", "*", "x" * 5000):
        response = getattr(web, method)(f"/v1/jobs/{job_id}{suffix}")
        assert_problem(response, 404, "not_found")


@pytest.mark.parametrize(("method", "suffix"), [("get", ""), ("delete", ""), ("get", "/events")])
def test_expired_jobs_are_410(web: FlaskClient, work: Work, method: str, suffix: str) -> None:
    job_id = work.accept()
    _succeed(work)
    work.let_expire(job_id)
    work.sweep()
    assert_problem(getattr(web, method)(f"/v1/jobs/{job_id}{suffix}"), 410, "expired")


# -- waiting ----------------------------------------------------------------------------------


def _soon(action: Any) -> threading.Thread:
    """Do something a moment later, when somebody waits."""
    thread = threading.Timer(0.2, action)
    thread.start()
    return thread


def test_a_reader_can_wait_for_the_end(web: FlaskClient, work: Work) -> None:
    job_id = work.accept()
    thread = _soon(lambda: _succeed(work))
    started = time.monotonic()
    response = web.get(f"/v1/jobs/{job_id}?wait=5")
    thread.join()
    assert response.get_json()["status"] == "succeeded"
    assert time.monotonic() - started < 3


def test_a_cancelled_job_ends_the_wait(web: FlaskClient, work: Work) -> None:
    job_id = work.accept()
    thread = _soon(lambda: work.store.cancel(job_id))
    assert web.get(f"/v1/jobs/{job_id}?wait=5").get_json()["status"] == "cancelled"
    thread.join()


def test_an_end_is_noticed_though_its_announcement_was_missed(
    web: FlaskClient, work: Work, client: redis.Redis
) -> None:
    job_id = work.accept()

    def end_in_silence() -> None:
        client.client_kill_filter(_type="pubsub")
        _succeed(work)

    wait_until(lambda: web.get(f"/v1/jobs/{job_id}?wait=0.1"), within_s=5, what="it listens")
    thread = _soon(end_in_silence)
    assert web.get(f"/v1/jobs/{job_id}?wait=5").get_json()["status"] == "succeeded"
    thread.join()


def test_a_wait_that_is_over_shows_the_job_as_it_is(web: FlaskClient, work: Work) -> None:
    job_id = work.accept()
    started = time.monotonic()
    response = web.get(f"/v1/jobs/{job_id}?wait=0.3")
    assert response.status_code == 200
    assert response.get_json()["status"] == "queued"
    assert 0.25 < time.monotonic() - started < 3


def test_nobody_waits_longer_than_the_settings_allow(settings: Settings, work: Work) -> None:
    job_id = work.accept()
    short = settings.model_copy(update={"max_wait_s": 0.2})
    with web_client(short) as web:
        started = time.monotonic()
        assert web.get(f"/v1/jobs/{job_id}?wait=86400").status_code == 200
        assert time.monotonic() - started < 3


@pytest.mark.parametrize("wait", ["soon", "-1", "nan", "inf", "-inf", "", "1s", "0x10"])
def test_a_wait_that_is_no_number_is_refused(web: FlaskClient, work: Work, wait: str) -> None:
    job_id = work.accept()
    assert_problem(web.get(f"/v1/jobs/{job_id}?wait={wait}"), 400, "invalid_request")


def test_who_finds_no_place_to_wait_is_answered_at_once(
    web: FlaskClient, work: Work, settings: Settings
) -> None:
    job_id = work.accept()
    assert [take_place(web) for _ in range(3)] == [True, True, False]
    started = time.monotonic()
    assert web.get(f"/v1/jobs/{job_id}?wait=5").get_json()["status"] == "queued"
    assert time.monotonic() - started < 3
    response = web.get(f"/v1/jobs/{job_id}/events")
    assert_problem(response, 503, "overloaded")
    assert response.headers["Retry-After"]
    leave_place(web)
    thread = _soon(lambda: _succeed(work))
    assert web.get(f"/v1/jobs/{job_id}?wait=5").get_json()["status"] == "succeeded"
    thread.join()


def test_without_places_nobody_waits(settings: Settings, work: Work) -> None:
    job_id = work.accept()
    with web_client(settings.model_copy(update={"max_waiting": 0})) as web:
        assert web.get(f"/v1/jobs/{job_id}?wait=5").get_json()["status"] == "queued"


# -- following --------------------------------------------------------------------------------


def _events(text: str) -> list[tuple[str, Any, str]]:
    """Return name, data and id of each event of a stream."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if fields:
            found.append((fields["event"], json.loads(fields["data"]), fields["id"]))
    return found


def test_a_stream_tells_all_until_the_end(web: FlaskClient, work: Work) -> None:
    job_id = work.accept(freeze())
    work.store.add_log(job_id, "one", "two")

    def run() -> None:
        claim = work.claim(lanes=[Lane.FREEZING])
        work.store.add_log(job_id, "three")
        work.claims.complete(claim, success(claim, PUBLISHED))

    thread = _soon(run)
    response = web.get(f"/v1/jobs/{job_id}/events")
    assert response.mimetype == "text/event-stream"
    assert response.headers["Cache-Control"] == "no-store"
    events = _events(response.text)
    thread.join()
    names = [name for name, _, _ in events]
    assert names[:4] == ["status", "progress", "log", "log"]
    assert names[-1] == "end"
    assert [data["line"] for name, data, _ in events if name == "log"] == ["one", "two", "three"]
    assert [data["status"] for name, data, _ in events if name == "status"][-1] == "succeeded"
    assert [data for name, data, _ in events if name == "progress"][-1]["succeeded"] == 1
    assert events[-1][1] == web.get(f"/v1/jobs/{job_id}").get_json()


def test_who_connects_again_misses_no_line_and_sees_none_twice(
    web: FlaskClient, work: Work
) -> None:
    job_id = work.accept(freeze())
    work.store.add_log(job_id, "one", "two", "three")
    work.store.cancel(job_id)
    events = _events(web.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": "2"}).text)
    assert [(data["line"], number) for name, data, number in events if name == "log"] == [
        ("three", "3")
    ]


def test_who_has_seen_the_end_is_sent_nothing_more(web: FlaskClient, work: Work) -> None:
    job_id = work.accept(freeze())
    work.store.cancel(job_id)
    events = _events(web.get(f"/v1/jobs/{job_id}/events").text)
    assert (events[-1][0], events[-1][2]) == ("end", "end")
    again = web.get(f"/v1/jobs/{job_id}/events", headers={"Last-Event-ID": "end"})
    assert (again.status_code, again.data) == (204, b"")


@pytest.mark.parametrize("last", ["", "x", "-1", "9" * 30, "٣"])
def test_a_last_event_id_that_is_none_counts_as_none(
    web: FlaskClient, work: Work, last: str
) -> None:
    job_id = work.accept(freeze())
    work.store.add_log(job_id, "one")
    work.store.cancel(job_id)
    stream = web.get(
        f"/v1/jobs/{job_id}/events",
        environ_overrides={"HTTP_LAST_EVENT_ID": last.encode().decode("latin-1")},
    )
    told = [data["line"] for name, data, _ in _events(stream.text) if name == "log"]
    assert told == ["one"]


def test_a_stream_that_is_never_read_leaves_its_place(web: FlaskClient, work: Work) -> None:
    job_id = work.accept()
    for _ in range(5):
        assert web.head(f"/v1/jobs/{job_id}/events", buffered=True).status_code == 200
        web.get(f"/v1/jobs/{job_id}/events", buffered=False).close()
    assert [take_place(web) for _ in range(3)] == [True, True, False]


def test_a_stream_that_is_read_in_part_leaves_its_place(web: FlaskClient, work: Work) -> None:
    job_id = work.accept()
    for _ in range(5):
        response = web.get(f"/v1/jobs/{job_id}/events", buffered=False)
        assert b"queued" in next(iter(response.response))
        response.close()
    assert take_place(web)


def test_a_quiet_stream_is_kept_alive_and_ends_some_time(
    web: FlaskClient, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events_module, "_LOOK_S", 0.02)
    monkeypatch.setattr(events_module, "_KEEP_ALIVE_S", 0.05)
    monkeypatch.setattr(events_module, "_LONGEST_S", 0.4)
    job_id = work.accept()
    text = web.get(f"/v1/jobs/{job_id}/events").text
    assert ": still here\n\n" in text
    assert [name for name, _, _ in _events(text)] == ["status", "progress"]


def test_a_stream_ends_when_redis_fails(
    web: FlaskClient, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise redis.exceptions.ConnectionError("gone")

    job_id = work.accept(freeze())
    monkeypatch.setattr(LoopServices, "log", fail)
    assert _events(web.get(f"/v1/jobs/{job_id}/events").text) == []
    assert take_place(web)


# -- listing and cancelling -------------------------------------------------------------------


def test_jobs_are_listed_in_pages(web: FlaskClient, work: Work) -> None:
    ids = sorted((work.accept() for _ in range(5)), reverse=True)
    first = web.get("/v1/jobs?limit=3").get_json()
    assert [job["id"] for job in first["jobs"]] == ids[:3]
    second = web.get(f"/v1/jobs?limit=3&cursor={first['next']}").get_json()
    assert [job["id"] for job in second["jobs"]] == ids[3:]
    assert second["next"] is None


def test_jobs_are_listed_by_kind_and_status(web: FlaskClient, work: Work) -> None:
    prediction, freezing = work.accept(), work.accept(freeze())
    work.store.cancel(prediction)
    for query, expected in (
        ("kind=freeze", [freezing]),
        ("status=cancelled", [prediction]),
        ("kind=freeze&status=cancelled", []),
        ("kind=&status=&cursor=&limit=", sorted([prediction, freezing], reverse=True)),
    ):
        assert [j["id"] for j in web.get(f"/v1/jobs?{query}").get_json()["jobs"]] == expected


@pytest.mark.parametrize(
    "query",
    ["kind=frieze", "status=done", "limit=0", "limit=201", "limit=x", "cursor=x", "cursor=*"],
)
def test_a_bad_query_is_refused(web: FlaskClient, query: str) -> None:
    assert_problem(web.get(f"/v1/jobs?{query}"), 400, "invalid_request")


def test_lines_of_a_freeze_are_shown_with_it_but_not_in_lists(web: FlaskClient, work: Work) -> None:
    job_id = work.accept(freeze())
    work.store.add_log(job_id, "one \udce9", LogLine.of_step("freezing", 3, 7))
    job = web.get(f"/v1/jobs/{job_id}").get_json()
    assert job["log"] == ["one ?", "Step 3 of 7: freezing ..."]
    (step,) = job["steps"]
    told = datetime.fromisoformat(step.pop("at"))
    assert abs(datetime.now(UTC) - told) < timedelta(seconds=60)
    assert step == {"name": "freezing", "number": 3, "of": 7}
    assert not {"log", "steps"} & web.get("/v1/jobs").get_json()["jobs"][0].keys()
    work.store.cancel(job_id)
    events = _events(web.get(f"/v1/jobs/{job_id}/events").text)
    plain, begun = [data for name, data, _ in events if name == "log"]
    assert (plain["line"], plain["step"]) == ("one ?", None)
    assert plain["at"] == begun["at"] == begun["step"].pop("at")
    assert begun["step"] == step


def test_a_job_is_cancelled_once_and_stays_so(web: FlaskClient, work: Work) -> None:
    job_id = work.accept()
    for _ in range(2):
        response = web.delete(f"/v1/jobs/{job_id}")
        assert response.status_code == 200
        assert response.get_json()["status"] == "cancelled"


def test_a_job_that_has_ended_is_not_cancelled(web: FlaskClient, work: Work) -> None:
    job_id = work.accept()
    _succeed(work)
    assert web.delete(f"/v1/jobs/{job_id}").get_json()["status"] == "succeeded"


def test_options_of_a_job_are_nobodys_business(web: FlaskClient, work: Work) -> None:
    job_id = work.accept(freeze(options={"name": "m", "labels": ["x"] * 10}))
    assert "labels" not in web.get(f"/v1/jobs/{job_id}").text


def test_a_compressed_body_is_refused_by_name(web: FlaskClient) -> None:
    answer = web.post(
        "/v1/batches", data=gzip.compress(b'{"open": true}'), headers={"Content-Encoding": "gzip"}
    )
    assert (answer.status_code, answer.get_json()["code"]) == (415, "unsupported_media")
    assert "Content-Encoding 'gzip'" in answer.get_json()["detail"]

"""Health, readiness, numbers, the description of the API, and a store that is not there."""

import http.client
import json
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from tests.support.api import assert_problem, photograph, publish, web_client
from tests.support.redis_server import RedisServer
from tests.support.work import Work, success
from worker.jobs.roster import GraphReport, Roster, WorkerReport
from worker.jobs.submissions import new_job_id
from worker.settings import Settings


def _graph(version: int, state: str, model: str = "cats-dogs", **fields: Any) -> GraphReport:
    standard: dict[str, Any] = {
        "sha256": "ab" * 32,
        "loads": 1,
        "load_seconds": 0.5,
        "bytes": 10,
        "runtime": "tensorflow",
        "error": "It is too large." if state == "failed" else None,
        "digest": "",
    }
    return GraphReport(model=model, version=version, state=state, **{**standard, **fields})


def _report(
    work: Work,
    *graphs: GraphReport,
    name: str = "h-1",
    state: str = "ready",
    queues: tuple[str, ...] = ("interactive", "bulk"),
) -> None:
    Roster(work.client, work.settings).report(
        WorkerReport(
            id=name,
            pid=7,
            host="h",
            state=state,
            queues=queues,
            graphs=graphs,
            memory_bytes=1000,
            items=3,
            started_ms=0,
        )
    )


# -- health and readiness ---------------------------------------------------------------------


def test_a_process_that_answers_is_healthy(web: FlaskClient) -> None:
    response = web.get("/healthz")
    assert (response.status_code, response.get_json()) == (200, {"status": "ok"})


def test_without_a_worker_nothing_is_ready(web: FlaskClient) -> None:
    response = web.get("/readyz")
    assert response.status_code == 503
    assert response.get_json()["reasons"] == ["No inference worker is ready."]


@pytest.mark.parametrize(
    ("state", "queues"), [("starting", ("interactive",)), ("ready", ("freezing",))]
)
def test_only_a_ready_worker_that_classifies_counts(
    web: FlaskClient, work: Work, state: str, queues: tuple[str, ...]
) -> None:
    _report(work, state=state, queues=queues)
    assert web.get("/readyz").status_code == 503


def test_a_system_without_models_can_be_ready(web: FlaskClient, work: Work) -> None:
    _report(work)
    response = web.get("/readyz")
    assert response.status_code == 200
    assert response.get_json() == {"status": "ready", "reasons": [], "workers": 1, "models": {}}


@pytest.mark.parametrize(
    ("graphs", "said"),
    [
        ([_graph(2, "ready")], "ready"),
        ([_graph(2, "dropped")], "ready"),
        ([_graph(1, "ready"), _graph(2, "ready")], "ready"),
        ([], "loading"),
        ([_graph(2, "loading")], "loading"),
        ([_graph(1, "ready")], "loading"),
        ([_graph(1, "ready"), _graph(2, "loading")], "loading"),
        ([_graph(1, "ready"), _graph(2, "failed")], "It is too large"),
        ([_graph(2, "failed")], "It is too large"),
        ([_graph(2, "ready", model="birds")], "loading"),
    ],
)
def test_a_model_is_judged_by_its_stable_version(
    web: FlaskClient, work: Work, settings: Settings, graphs: list[GraphReport], said: str
) -> None:
    publish(settings)
    publish(settings)
    _report(work, *graphs)
    response = web.get("/readyz")
    assert response.get_json()["models"] == {"cats-dogs": said}
    assert response.status_code == (200 if said == "ready" else 503)
    if said != "ready":
        assert response.get_json()["reasons"] == [f"Model cats-dogs: {said}."]


def test_a_model_whose_files_are_damaged_is_not_ready(
    web: FlaskClient, work: Work, settings: Settings
) -> None:
    publish(settings)
    _report(work, _graph(1, "ready"))
    (settings.models_folder / "cats-dogs" / "aliases.json").write_text("{")
    response = web.get("/readyz")
    assert response.status_code == 503
    assert "aliases of model 'cats-dogs' cannot be read" in response.get_json()["reasons"][0]


def test_a_model_without_a_stable_version_is_nobodys_concern(
    web: FlaskClient, work: Work, settings: Settings
) -> None:
    publish(settings)
    _report(work)
    (settings.models_folder / "cats-dogs" / "aliases.json").unlink()
    assert web.get("/readyz").get_json()["models"] == {}


def test_a_version_of_the_same_name_of_another_installation_makes_nothing_ready(
    web: FlaskClient, work: Work, settings: Settings
) -> None:
    digest = publish(settings).digest
    _report(work, _graph(1, "ready", digest="0" * 32), name="h-1")
    assert web.get("/readyz").get_json()["models"] == {"cats-dogs": "loading"}
    _report(work, _graph(1, "ready", digest=digest), name="h-2")
    assert web.get("/readyz").get_json()["models"] == {"cats-dogs": "ready"}


def test_one_worker_that_has_a_model_is_enough(
    web: FlaskClient, work: Work, settings: Settings
) -> None:
    publish(settings)
    _report(work, _graph(1, "failed"), name="h-1")
    _report(work, _graph(1, "ready"), name="h-2")
    response = web.get("/readyz")
    assert response.status_code == 200
    assert response.get_json()["workers"] == 2


# -- workers ----------------------------------------------------------------------------------


def test_workers_are_listed_with_what_they_said(web: FlaskClient, work: Work) -> None:
    _report(work, _graph(1, "ready"))
    (row,) = web.get("/v1/workers").get_json()["workers"]
    assert row.pop("seen_at") > row.pop("started_at")
    assert row == {
        "id": "h-1",
        "pid": 7,
        "host": "h",
        "state": "ready",
        "queues": ["interactive", "bulk"],
        "graphs": [
            {
                "model": "cats-dogs",
                "version": 1,
                "sha256": "ab" * 32,
                "state": "ready",
                "loads": 1,
                "load_seconds": 0.5,
                "bytes": 10,
                "runtime": "tensorflow",
                "error": None,
                "digest": "",
            }
        ],
        "memory_bytes": 1000,
        "items": 3,
        "confinement": None,
    }


# -- numbers ----------------------------------------------------------------------------------


def test_numbers_can_be_scraped(web: FlaskClient, work: Work) -> None:
    for _ in range(3):
        work.accept()
    claim = work.claim(1)
    work.claims.complete(claim, success(claim))
    work.claim(1)
    _report(work)
    response = web.get("/metrics")
    assert response.mimetype == "text/plain"
    samples = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }
    assert samples["permafrost_jobs_total", "accepted", "prediction"] == 3
    assert samples["permafrost_jobs_total", "prediction", "succeeded"] == 1
    assert samples["permafrost_jobs_now", "prediction", "queued"] == 1
    assert samples["permafrost_jobs_now", "prediction", "running"] == 1
    assert samples["permafrost_workers", "ready"] == 1
    assert samples[("permafrost_worker_memory_bytes",)] == 1000
    assert samples[("permafrost_store_memory_bytes",)] > 0


# -- the description --------------------------------------------------------------------------


def test_the_api_describes_itself(web: FlaskClient) -> None:
    response = web.get("/openapi.json")
    assert response.status_code == 200
    described = response.get_json()
    assert re.fullmatch(r"3\.1\.\d", described["openapi"])
    assert described["info"]["title"] == "Permafrost"
    operations = {
        (method.upper(), path)
        for path, methods in described["paths"].items()
        for method in methods
        if method != "parameters"
    }
    assert operations >= {
        ("POST", "/v1/predictions"),
        ("POST", "/v1/freezes"),
        ("GET", "/v1/jobs"),
        ("GET", "/v1/jobs/{job_id}"),
        ("DELETE", "/v1/jobs/{job_id}"),
        ("GET", "/v1/jobs/{job_id}/events"),
        ("GET", "/v1/models"),
        ("GET", "/v1/models/{name}"),
        ("GET", "/v1/models/{name}/versions/{version}"),
        ("GET", "/v1/models/{name}/versions/{version}/graph"),
        ("DELETE", "/v1/models/{name}/versions/{version}"),
        ("PUT", "/v1/models/{name}/aliases/{alias}"),
        ("GET", "/v1/workers"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
    }
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            if method == "parameters":
                continue
            assert operation["summary"], f"{method} {path}"
            assert operation["responses"], f"{method} {path}"
            assert operation["tags"], f"{method} {path}"
            named = {p["name"] for p in operation.get("parameters", []) if p["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))
    references = set(re.findall(r'"\$ref": *"#/([^"]+)"', json.dumps(described)))
    for reference in references:
        found = described
        for part in reference.split("/"):
            found = found[part]


# -- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("get", "/v1/nothing", 404, "not_found"),
        ("get", "/nothing", 404, "not_found"),
        ("get", "/v1/predictions", 405, "method_not_allowed"),
        ("post", "/v1/jobs", 405, "method_not_allowed"),
        ("put", "/v1/models", 405, "method_not_allowed"),
        ("get", "/v1/jobs/%00", 404, "not_found"),
        ("get", "/v1/jobs/%ff%fe", 404, "not_found"),
    ],
)
def test_every_error_is_a_problem(
    web: FlaskClient, method: str, path: str, status: int, code: str
) -> None:
    response = getattr(web, method)(path)
    assert_problem(response, status, code)
    if status == 405:
        assert response.headers["Allow"]


@pytest.mark.parametrize(
    ("accept", "page"),
    [
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("text/html", True),
        ("*/*", False),
        ("application/json", False),
        ("application/json, text/html;q=0.5", False),
        ("", False),
    ],
)
def test_a_browser_gets_a_page_instead(web: FlaskClient, accept: str, page: bool) -> None:
    response = web.get("/jobs/nonsense", headers={"Accept": accept})
    assert response.status_code == 404
    assert response.mimetype == ("text/html" if page else "application/problem+json")
    if page:
        assert "nonsense" in response.text
    assert_problem(web.get("/v1/jobs/nonsense", headers={"Accept": accept}), 404, "not_found")


def test_what_a_page_repeats_is_escaped(web: FlaskClient) -> None:
    response = web.get("/jobs/<script>alert(1)<%2Fscript>", headers={"Accept": "text/html"})
    assert response.status_code == 404
    assert "<script>alert" not in response.text


def test_an_error_of_our_own_is_logged_and_not_shown(
    web: FlaskClient, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr("api.services.loop.LoopServices.get", fail)
    response = web.get(f"/v1/jobs/{new_job_id()}")
    body = assert_problem(response, 500, "internal_error")
    assert "secret" not in body["detail"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (redis.exceptions.ConnectionError("gone"), 503, "store_unavailable"),
        (redis.exceptions.TimeoutError("slow"), 503, "store_unavailable"),
        (redis.exceptions.BusyLoadingError("LOADING"), 503, "store_unavailable"),
        (redis.exceptions.ReadOnlyError("READONLY You can't write"), 503, "store_unavailable"),
        (redis.ResponseError("MISCONF Errors writing to the AOF file"), 503, "store_unavailable"),
        (redis.exceptions.OutOfMemoryError("command not allowed"), 503, "overloaded"),
        (redis.ResponseError("Error running script: -OOM command not allowed"), 503, "overloaded"),
        (redis.ResponseError("WRONGTYPE Operation against a key"), 500, "internal_error"),
    ],
)
def test_what_redis_says_becomes_the_right_error(
    web: FlaskClient, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("api.services.loop.LoopServices.get", fail)
    response = web.get(f"/v1/jobs/{new_job_id()}")
    assert_problem(response, status, code)
    assert ("Retry-After" in response.headers) == (status == 503)


# -- a store that is not there ----------------------------------------------------------------

ASKING: list[tuple[str, str, dict[str, Any]]] = [
    ("post", "/v1/predictions", {"data": photograph()}),
    ("post", "/v1/predictions?wait=30", {"data": photograph()}),
    ("post", "/v1/freezes", {"json": {"name": "m", "source": "x"}}),
    ("get", "/v1/jobs", {}),
    ("get", f"/v1/jobs/{new_job_id()}", {}),
    ("get", f"/v1/jobs/{new_job_id()}?wait=30", {}),
    ("get", f"/v1/jobs/{new_job_id()}/events", {}),
    ("delete", f"/v1/jobs/{new_job_id()}", {}),
    ("get", "/v1/workers", {}),
    ("get", "/metrics", {}),
]


def _assert_unavailable_soon(web: FlaskClient) -> None:
    for method, path, request_ in ASKING:
        started = time.monotonic()
        response = getattr(web, method)(path, **request_)
        assert time.monotonic() - started < 5, f"{method} {path}"
        assert_problem(response, 503, "store_unavailable")
        assert response.headers["Retry-After"] == "2"


def _assert_alive(web: FlaskClient) -> None:
    assert web.get("/healthz").status_code == 200
    assert web.get("/v1/models").status_code == 200
    response = web.get("/readyz")
    assert response.status_code == 503
    assert response.get_json()["reasons"] == ["Redis does not answer."]


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.process.send_signal(signal.SIGCONT)
    server.remove()


def test_a_redis_that_is_gone_is_said_to_be_and_found_again(
    settings: Settings, own_redis: RedisServer
) -> None:
    own = settings.model_copy(update={"redis_url": own_redis.url})
    publish(own)
    with web_client(own) as web:
        assert web.post("/v1/predictions", data=photograph()).status_code == 202
        own_redis.kill()
        _assert_unavailable_soon(web)
        _assert_alive(web)
        own_redis.start()
        assert web.post("/v1/predictions", data=photograph()).status_code == 202


@pytest.mark.parametrize("connected", [True, False], ids=["connected", "not yet connected"])
def test_a_redis_that_is_silent_is_an_error_within_5_seconds(
    settings: Settings, own_redis: RedisServer, connected: bool
) -> None:
    # Who has never heard from Redis whether keys are needed would answer nobody.
    own = settings.model_copy(update={"redis_url": own_redis.url, "access": "open"})
    publish(own)
    with web_client(own) as web:
        if connected:
            assert web.post("/v1/predictions", data=photograph()).status_code == 202
        own_redis.process.send_signal(signal.SIGSTOP)
        for method, path, request_ in ASKING[:1] + (ASKING[5:7] if connected else []):
            started = time.monotonic()
            response = getattr(web, method)(path, **request_)
            assert time.monotonic() - started < 5, f"{method} {path}"
            assert_problem(response, 503, "store_unavailable")
        _assert_alive(web)
        own_redis.process.send_signal(signal.SIGCONT)
        assert web.post("/v1/predictions", data=photograph()).status_code == 202


def test_status_phrases_are_those_of_http(web: FlaskClient) -> None:
    body = assert_problem(web.get("/v1/jobs/x"), 404, "not_found")
    assert body["title"] == http.client.responses[404]
    assert body["type"] == "about:blank"

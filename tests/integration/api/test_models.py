"""`/v1/models`: the registry through HTTP."""

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from tests.support.api import GRAPH, assert_problem, publish, web_client
from worker.jobs.keys import key
from worker.settings import Settings


@pytest.fixture
def web(settings: Settings, client: redis.Redis) -> Iterator[FlaskClient]:
    publish(settings)
    publish(settings, graph=GRAPH + b"2")
    with web_client(settings) as web:
        yield web


def test_models_are_listed_with_their_aliases_and_versions(web: FlaskClient) -> None:
    (model,) = web.get("/v1/models").get_json()["models"]
    assert (model["name"], model["aliases"], model["damaged"]) == ("cats-dogs", {"stable": 2}, [])
    first = model["versions"][0]
    assert (first["version"], first["bytes"], first["labels"]) == (1, len(GRAPH), 2)
    assert first["created_at"].endswith("Z")
    assert len(first["sha256"]) == 64


def test_without_models_the_list_is_empty(settings: Settings, client: redis.Redis) -> None:
    with web_client(settings) as web:
        assert web.get("/v1/models").get_json() == {"models": []}


def test_a_model_is_shown_with_its_manifests_but_without_their_reports(web: FlaskClient) -> None:
    model = web.get("/v1/models/cats-dogs").get_json()
    assert [version["version"] for version in model["versions"]] == [1, 2]
    assert model["versions"][0]["labels"] == ["cat", "dog"]
    assert "report" not in model["versions"][0]


@pytest.mark.parametrize(("which", "version"), [("1", 1), ("2", 2), ("stable", 2)])
def test_a_version_is_shown_by_number_or_alias(web: FlaskClient, which: str, version: int) -> None:
    manifest = web.get(f"/v1/models/cats-dogs/versions/{which}").get_json()
    assert manifest["version"] == version
    assert manifest["report"] == {"nodes_after": 3}
    assert manifest["preprocessing"]["size"] == [8, 8]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/models/whales", 404, "model_not_found"),
        ("/v1/models/whales/versions/1", 404, "model_not_found"),
        ("/v1/models/whales/versions/1/graph", 404, "model_not_found"),
        ("/v1/models/cats-dogs/versions/9", 404, "model_not_found"),
        ("/v1/models/cats-dogs/versions/9/graph", 404, "model_not_found"),
        ("/v1/models/cats-dogs/versions/canary", 404, "model_not_found"),
        ("/v1/models/cats-dogs/versions/0", 400, "invalid_request"),
        ("/v1/models/cats-dogs/versions/1@2", 400, "invalid_request"),
        ("/v1/models/cats%20dogs", 400, "invalid_request"),
        ("/v1/models/..", 400, "invalid_request"),
        ("/v1/models/.staging/versions/1", 400, "invalid_request"),
        ("/v1/models/..%2f..%2fetc/versions/1/graph", 404, "not_found"),
    ],
)
def test_what_is_not_there_is_said(web: FlaskClient, path: str, status: int, code: str) -> None:
    assert_problem(web.get(path), status, code)


# -- the graph --------------------------------------------------------------------------------


def test_the_graph_can_be_downloaded(web: FlaskClient) -> None:
    response = web.get("/v1/models/cats-dogs/versions/1/graph")
    assert (response.status_code, response.data) == (200, GRAPH)
    assert response.mimetype == "application/octet-stream"
    assert "filename=cats-dogs-1.pb" in response.headers["Content-Disposition"]
    sha256 = web.get("/v1/models/cats-dogs/versions/1").get_json()["sha256"]
    assert response.headers["ETag"] == f'"{sha256}"'
    response.close()


def test_a_graph_that_is_known_is_not_sent_again(web: FlaskClient) -> None:
    path = "/v1/models/cats-dogs/versions/1/graph"
    with web.head(path) as first:
        etag = first.headers["ETag"]
    with web.get(path, headers={"If-None-Match": etag}) as again:
        assert (again.status_code, again.data) == (304, b"")


def test_a_graph_can_be_fetched_in_parts(web: FlaskClient) -> None:
    path = "/v1/models/cats-dogs/versions/1/graph"
    part = web.get(path, headers={"Range": "bytes=2-7"})
    assert (part.status_code, part.data) == (206, GRAPH[2:8])
    part.close()
    beyond = web.get(path, headers={"Range": "bytes=999999-"})
    assert_problem(beyond, 416, "invalid_request")
    assert beyond.headers["Content-Range"] == f"bytes */{len(GRAPH)}"


def test_a_graph_that_is_gone_from_disk_is_said_to_be(web: FlaskClient, settings: Settings) -> None:
    (settings.models_folder / "cats-dogs" / "1" / "graph.pb").unlink()
    body = assert_problem(web.get("/v1/models/cats-dogs/versions/1/graph"), 404, "model_not_found")
    assert "gone from disk" in body["detail"]


# -- aliases ----------------------------------------------------------------------------------


def test_an_alias_is_moved_and_workers_are_told(web: FlaskClient, client: redis.Redis) -> None:
    response = web.put("/v1/models/cats-dogs/aliases/stable", json={"version": 1})
    assert response.status_code == 200
    assert response.get_json()["aliases"] == {"stable": 1}
    assert client.get(key("generation")) == b"1"
    web.put("/v1/models/cats-dogs/aliases/canary", json={"version": 2})
    assert web.get("/v1/models/cats-dogs").get_json()["aliases"] == {"canary": 2, "stable": 1}


@pytest.mark.parametrize(
    ("path", "body", "status", "code"),
    [
        ("cats-dogs/aliases/stable", {"json": {"version": 9}}, 404, "model_not_found"),
        ("whales/aliases/stable", {"json": {"version": 1}}, 404, "model_not_found"),
        ("cats-dogs/aliases/STABLE", {"json": {"version": 1}}, 400, "invalid_request"),
        ("cats-dogs/aliases/7", {"json": {"version": 1}}, 400, "invalid_request"),
        ("cats-dogs/aliases/stable", {"json": {"version": "1"}}, 400, "invalid_request"),
        ("cats-dogs/aliases/stable", {"json": {"version": True}}, 400, "invalid_request"),
        ("cats-dogs/aliases/stable", {"json": {"version": 0}}, 400, "invalid_request"),
        ("cats-dogs/aliases/stable", {"json": {"version": 1.5}}, 400, "invalid_request"),
        ("cats-dogs/aliases/stable", {"json": {}}, 400, "invalid_request"),
        ("cats-dogs/aliases/stable", {"json": [1]}, 400, "invalid_request"),
        ("cats-dogs/aliases/stable", {"data": "{"}, 400, "invalid_request"),
        ("cats-dogs/aliases/stable", {}, 400, "invalid_request"),
    ],
)
def test_an_alias_that_cannot_be_moved_stays(
    web: FlaskClient, path: str, body: dict[str, Any], status: int, code: str
) -> None:
    assert_problem(web.put(f"/v1/models/{path}", **body), status, code)
    assert web.get("/v1/models/cats-dogs").get_json()["aliases"] == {"stable": 2}


# -- retirement -------------------------------------------------------------------------------


def test_a_version_in_use_cannot_be_retired(web: FlaskClient) -> None:
    for which in ("2", "stable"):
        body = assert_problem(web.delete(f"/v1/models/cats-dogs/versions/{which}"), 409, "conflict")
        assert "'stable'" in body["detail"]


def test_a_retired_version_is_gone(web: FlaskClient, client: redis.Redis) -> None:
    response = web.delete("/v1/models/cats-dogs/versions/1")
    assert [version["version"] for version in response.get_json()["versions"]] == [2]
    assert client.get(key("generation")) == b"1"
    for method in ("get", "delete"):
        again = getattr(web, method)("/v1/models/cats-dogs/versions/1")
        assert "was retired" in assert_problem(again, 404, "model_not_found")["detail"]


def test_a_change_counts_though_redis_cannot_be_told(settings: Settings) -> None:
    publish(settings)
    publish(settings)
    elsewhere = {"redis_url": f"unix://{settings.data}/no.sock", "access": "open"}
    nowhere = settings.model_copy(update=elsewhere)
    with web_client(nowhere) as web:
        response = web.put("/v1/models/cats-dogs/aliases/stable", json={"version": 1})
        assert response.get_json()["aliases"] == {"stable": 1}
        assert web.delete("/v1/models/cats-dogs/versions/2").status_code == 200


# -- damage -----------------------------------------------------------------------------------


def test_what_is_damaged_is_said_and_hides_nothing_else(
    web: FlaskClient, settings: Settings
) -> None:
    publish(settings, "birds")
    (settings.models_folder / "birds" / "1" / "manifest.json").write_text("{")
    (settings.models_folder / "cats-dogs" / "1" / "manifest.json").write_text("{")
    with web_client(settings) as fresh:
        birds, cats = fresh.get("/v1/models").get_json()["models"]
        assert birds["versions"] == []
        assert "birds@1" in birds["damaged"][0]
        assert [version["version"] for version in cats["versions"]] == [2]
        assert "cats-dogs@1" in cats["damaged"][0]
        assert_problem(fresh.get("/v1/models/birds"), 503, "model_unavailable")
        assert_problem(fresh.get("/v1/models/cats-dogs/versions/1"), 503, "model_unavailable")
        assert fresh.get("/v1/models/cats-dogs/versions/2").status_code == 200

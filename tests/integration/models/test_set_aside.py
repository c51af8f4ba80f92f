"""Versions that are set aside: who is refused, who sees it, and how they come back."""

import json
from collections.abc import Iterator

import pytest
import redis
from flask.testing import FlaskClient

from tests.support.api import GRAPH, assert_problem, photograph, publish, web_client
from worker.jobs.keys import key
from worker.models.manifest import Manifest
from worker.models.registry import Registry
from worker.models.set_aside import SetAsideVersions
from worker.settings import Settings

REASON = "running a black picture did not end within 60 s"


@pytest.fixture
def manifests(settings: Settings) -> list[Manifest]:
    publish(settings)
    publish(settings, graph=GRAPH + b"2")
    return list(Registry(settings.models_folder).model("cats-dogs").versions)


@pytest.fixture
def aside(client: redis.Redis, settings: Settings) -> SetAsideVersions:
    return SetAsideVersions(client, settings)


@pytest.fixture
def web(settings: Settings, manifests: list[Manifest]) -> Iterator[FlaskClient]:
    with web_client(settings) as web:
        yield web


def _set_aside(aside: SetAsideVersions, manifest: Manifest) -> None:
    aside.add(
        manifest.name, manifest.version, sha256=manifest.sha256, code="timed_out", reason=REASON
    )


def test_jobs_for_it_are_refused_and_others_are_accepted(
    web: FlaskClient, aside: SetAsideVersions, manifests: list[Manifest]
) -> None:
    _set_aside(aside, manifests[1])
    for path, body in (("/v1/predictions", photograph()), ("/v1/batches", b'{"open": true}')):
        media = {"content_type": "application/json"} if body.startswith(b"{") else {}
        refused = web.post(path, data=body, **media)
        assert_problem(refused, 409, "model_set_aside")
        told = refused.get_json()["detail"]
        assert REASON in told
        assert "./permafrost models cats-dogs --try-again 2" in told
        other = web.post(f"{path}?model=cats-dogs@1", data=body, **media)
        assert other.status_code == 202


def test_it_is_said_in_the_registry_and_by_readyz(
    web: FlaskClient, aside: SetAsideVersions, manifests: list[Manifest]
) -> None:
    _set_aside(aside, manifests[1])
    (listed,) = web.get("/v1/models").get_json()["models"]
    for rows in (listed["versions"], web.get("/v1/models/cats-dogs").get_json()["versions"]):
        assert [row["state"] for row in rows] == ["published", "set_aside"]
        assert rows[0]["set_aside"] is None
        assert (rows[1]["set_aside"]["code"], rows[1]["set_aside"]["reason"]) == (
            "timed_out",
            REASON,
        )
    assert REASON in web.get("/readyz").get_json()["models"]["cats-dogs"]
    page = web.get("/models").get_data(as_text=True)
    assert REASON in page
    assert "Try it again" in page


def test_another_graph_under_the_same_name_is_not_meant(
    web: FlaskClient, aside: SetAsideVersions
) -> None:
    aside.add("cats-dogs", 2, sha256="ab" * 32, code="timed_out", reason=REASON)
    assert web.post("/v1/predictions", data=photograph()).status_code == 202
    (listed,) = web.get("/v1/models").get_json()["models"]
    assert [row["state"] for row in listed["versions"]] == ["published", "published"]


def test_what_a_newer_permafrost_adds_is_passed_over(
    aside: SetAsideVersions, manifests: list[Manifest], client: redis.Redis
) -> None:
    _set_aside(aside, manifests[0])
    (before,) = aside.all().items()
    (raw,) = client.hvals(key("aside"))
    client.hset(key("aside"), before[0], json.dumps({**json.loads(raw), "added": 1}))
    assert aside.all() == dict([before])


@pytest.mark.parametrize("way", ["http", "page"])
def test_it_can_be_tried_again(
    web: FlaskClient,
    aside: SetAsideVersions,
    manifests: list[Manifest],
    client: redis.Redis,
    way: str,
) -> None:
    _set_aside(aside, manifests[1])
    before = client.get(key("generation"))
    if way == "http":
        answer = web.delete("/v1/models/cats-dogs/versions/2/set-aside")
        assert answer.get_json()["versions"][1]["state"] == "published"
    else:
        assert web.post("/models/cats-dogs/versions/2/try-again").status_code == 303
    assert web.post("/v1/predictions", data=photograph()).status_code == 202
    assert client.get(key("generation")) != before  # so that workers look


def test_strikes_set_it_aside_only_together(
    aside: SetAsideVersions, manifests: list[Manifest], settings: Settings
) -> None:
    bad = manifests[0]

    def strike() -> bool:
        return aside.strike(
            bad.name, bad.version, sha256=bad.sha256, code="crashed", reason="it crashed"
        )

    assert [strike() for _ in range(settings.max_strikes)] == [False, False, True]
    found = aside.find(bad.name, bad.version, bad.sha256)
    assert found is not None
    assert found.reason == "it crashed, 3 times within an hour"


def test_an_alias_cannot_be_moved_to_it(
    web: FlaskClient, aside: SetAsideVersions, manifests: list[Manifest]
) -> None:
    _set_aside(aside, manifests[0])
    answer = web.put("/v1/models/cats-dogs/aliases/canary", json={"version": 1})
    assert_problem(answer, 409, "model_set_aside")


# -- retiring by force ------------------------------------------------------------------------


def test_a_version_that_an_alias_means_is_retired_by_force_alone(
    web: FlaskClient, client: redis.Redis
) -> None:
    refused = web.delete("/v1/models/cats-dogs/versions/2")
    assert_problem(refused, 409, "conflict")
    assert "--retire 2 --force" in refused.get_json()["detail"]
    answer = web.delete("/v1/models/cats-dogs/versions/2?force=true").get_json()
    assert answer["moved"] == {"stable": 1}
    assert answer["aliases"] == {"stable": 1}
    assert [row["version"] for row in answer["versions"]] == [1]


def test_an_alias_is_not_moved_to_what_is_set_aside(
    web: FlaskClient, aside: SetAsideVersions, manifests: list[Manifest]
) -> None:
    _set_aside(aside, manifests[0])
    answer = web.delete("/v1/models/cats-dogs/versions/2?force=true").get_json()
    assert (answer["moved"], answer["aliases"]) == ({"stable": None}, {})


def test_a_version_whose_manifest_is_damaged_can_be_retired(
    web: FlaskClient, settings: Settings
) -> None:
    (settings.models_folder / "cats-dogs" / "2" / "manifest.json").write_text("{")
    answer = web.delete("/v1/models/cats-dogs/versions/2?force=true")
    assert answer.status_code == 200, answer.text
    assert answer.get_json()["moved"] == {"stable": 1}
    assert [row["version"] for row in answer.get_json()["versions"]] == [1]


def test_a_version_can_be_retired_though_the_aliases_are_damaged(
    web: FlaskClient, settings: Settings
) -> None:
    (settings.models_folder / "cats-dogs" / "aliases.json").write_text("{")
    answer = web.delete("/v1/models/cats-dogs/versions/2?force=true")
    assert answer.status_code == 200, answer.text
    assert (settings.models_folder / "cats-dogs" / "2" / "retired").exists()
    assert "aliases" in answer.get_json()["damaged"][0]


def test_force_must_be_a_flag(web: FlaskClient) -> None:
    assert_problem(
        web.delete("/v1/models/cats-dogs/versions/2?force=perhaps"), 400, "invalid_request"
    )


def test_a_version_that_is_not_there_cannot_be_retired_by_force(web: FlaskClient) -> None:
    for version in ("9", "canary"):
        answer = web.delete(f"/v1/models/cats-dogs/versions/{version}?force=true")
        assert_problem(answer, 404, "model_not_found")

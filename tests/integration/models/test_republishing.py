"""The same graph with other preprocessing, labels or scores: `POST /v1/models/NAME/versions`."""

import html
import json
import os
import re
import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from tests.faults.test_disk_full import SMALL_BYTES, mounted
from tests.support.api import GRAPH, assert_problem, publish, web_client
from worker.errors import ModelNotFoundError
from worker.jobs.keys import key
from worker.models.basis import Basis
from worker.models.manifest import ModelRef
from worker.models.preprocessing import PreprocessingSpec
from worker.models.registry import Registry
from worker.models.republishing import redrafted
from worker.models.set_aside import SetAsideVersions
from worker.settings import Settings

VERSIONS = "/v1/models/cats-dogs/versions"
ASSUMED = Basis(
    kind="assumed",
    fields={"scaling": "assumed", "color": "assumed", "size": "read"},
    reasons=["how pixels are scaled does not show in the graph"],
    alternatives=[{"preprocessing": {"color": "bgr"}, "reason": "it reads images with OpenCV"}],
)


@pytest.fixture
def web(settings: Settings, client: redis.Redis) -> Iterator[FlaskClient]:
    source = {"kind": "graph", "job": "a-freeze"}
    publish(settings, basis=ASSUMED, source=source, report={"warnings": ["As it is."]})
    with web_client(settings) as web:
        yield web


def made(web: FlaskClient, **fields: Any) -> dict[str, Any]:
    response = web.post(VERSIONS, json=fields)
    assert response.status_code == 201, response.text
    manifest: dict[str, Any] = response.get_json()
    assert response.headers["Location"] == f"{VERSIONS}/{manifest['version']}"
    return manifest


def test_the_same_graph_is_the_next_version_and_stable(
    web: FlaskClient, settings: Settings, client: redis.Redis
) -> None:
    first = web.get(f"{VERSIONS}/1").get_json()
    found = made(web, preprocessing="minus_one_one")
    assert (found["version"], found["sha256"]) == (2, first["sha256"])
    assert found["preprocessing"]["scale"] == pytest.approx(1 / 127.5)
    assert (found["basis"]["kind"], found["assumption"], found["choices"]) == ("stated", None, [])
    assert found["source"] == {"kind": "graph", "version": 1}
    assert web.get("/v1/models/cats-dogs").get_json()["aliases"] == {"stable": 2}
    with web.get(f"{VERSIONS}/2/graph") as graph:
        assert graph.data == GRAPH
    assert client.get(key("generation")) == b"1"
    folder = settings.models_folder / "cats-dogs"
    assert (folder / "1/graph.pb").samefile(folder / "2/graph.pb")
    registry = Registry(settings.models_folder)
    digests = {registry.manifest("cats-dogs", number).digest for number in (1, 2)}
    assert len(digests) == 2  # so that no worker takes one for the other


def test_what_is_not_said_stays_as_it_is(web: FlaskClient) -> None:
    bgr = made(web, preprocessing={"color": "bgr"})
    assert (bgr["preprocessing"]["color"], bgr["preprocessing"]["scale"]) == ("bgr", 1 / 255)
    assert bgr["basis"]["fields"] == {"scaling": "assumed", "color": "stated", "size": "read"}
    assert bgr["basis"]["kind"] == "assumed"
    others = [one["preprocessing"] for one in bgr["basis"]["alternatives"]]
    assert {"preset": "raw", "color": "bgr"} in others  # what was said is kept
    assert {one["color"] for one in others} == {"bgr"}
    assert bgr["choices"][0]["preprocessing"] == {"preset": "zero_one", "color": "bgr"}
    assert "values from 0 to 1" in bgr["assumption"]
    assert "colours" not in bgr["assumption"]
    assert bgr["report"]["warnings"] == ["As it is.", bgr["assumption"]]
    named = made(web, labels=["katze", "hund"])
    assert (named["labels"], named["basis"]) == (["katze", "hund"], bgr["basis"])
    told = made(web, preprocessing="zero_one")
    assert told["preprocessing"]["color"] == "rgb"  # a preset says all of it
    assert (told["labels"], told["report"]["warnings"]) == (["katze", "hund"], ["As it is."])


def test_the_commands_that_are_offered_say_it(web: FlaskClient) -> None:
    (first,) = web.get("/v1/models/cats-dogs").get_json()["versions"]
    assert first["assumption"].endswith("`./permafrost models cats-dogs`.")
    right, bgr = first["choices"]
    assert right["preprocessing"] == {"preset": "zero_one", "color": "rgb"}
    assert shlex.split(bgr["command"])[:3] == ["./permafrost", "models", "cats-dogs@1"]
    found = made(web, preprocessing=right["preprocessing"], alias="canary", **{"from": 1})
    assert found["basis"]["kind"] == "stated"
    assert web.get("/v1/models/cats-dogs").get_json()["aliases"] == {"canary": 2, "stable": 1}
    listed = web.get("/v1/models").get_json()["models"][0]["versions"]
    assert [version["basis"] for version in listed] == ["assumed", "stated"]


def test_what_is_chosen_on_the_page_is_published(web: FlaskClient) -> None:
    page = web.get("/models").text
    (action,) = set(re.findall(r'<form method="post" action="([^"]+)"', page))
    values = [
        html.unescape(text) for text in re.findall(r'name="preprocessing" value="(.+?)"', page)
    ]
    assert json.loads(values[-1]) == {"color": "bgr"}
    assert web.post(action, data={"preprocessing": values[-1]}).status_code == 303
    assert web.get(f"{VERSIONS}/2").get_json()["preprocessing"]["color"] == "bgr"
    refused = web.post(action, data={"preprocessing": "{}"}, headers={"Accept": "text/html"})
    assert (refused.status_code, "preprocessing, labels or scores" in refused.text) == (400, True)
    foreign = {"Origin": "https://elsewhere.example"}
    assert web.post(action, data={"preprocessing": values[-1]}, headers=foreign).status_code == 403


def test_a_version_of_before_is_shown_as_it_is_and_can_be_told(
    web: FlaskClient, settings: Settings
) -> None:
    publish(settings, name="old")
    (old,) = web.get("/v1/models/old").get_json()["versions"]
    assert (old["basis"], old["assumption"], old["choices"]) == (None, None, [])
    sent = web.post("/v1/models/old/versions/1/preprocessing", json={"color": "bgr"})
    assert sent.get_json()["basis"]["fields"]["scaling"] == "assumed"
    sent = web.post("/v1/models/old/versions/2/preprocessing", json={"preset": "raw"})
    assert (sent.status_code, sent.get_json()["basis"]["kind"]) == (201, "stated")


@pytest.mark.parametrize(
    ("fields", "status", "code", "said"),
    [
        ({}, 400, "invalid_request", "preprocessing, labels or scores"),
        ({"preprocessing": {}}, 400, "invalid_request", "preprocessing, labels or scores"),
        ({"preprocessing": "blue"}, 400, "invalid_request", "must be zero_one, "),
        ({"preprocessing": {"size": [9, 9]}}, 400, "invalid_request", "shape"),
        ({"preprocessing": {"color": "gray"}}, 400, "invalid_request", "channel"),
        ({"preprocessing": {"layout": "NCHW"}}, 400, "invalid_request", "shape"),
        ({"labels": ["cat"]}, 400, "invalid_request", "2 scores per image"),
        ({"labels": []}, 400, "invalid_request", "labels"),
        ({"scores": "percent"}, 400, "invalid_request", "scores"),
        ({"preprocesing": "raw"}, 400, "invalid_request", "Did you mean 'preprocessing'"),
        ({"preprocessing": "raw", "alias": "A B"}, 400, "invalid_request", "alias"),
        ({"preprocessing": "raw", "from": "../1"}, 400, "invalid_request", "alias"),
        ({"preprocessing": "raw", "from": True}, 400, "invalid_request", "from"),
        ({"preprocessing": "raw", "from": 9}, 404, "model_not_found", "no version"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_published(
    web: FlaskClient, fields: dict[str, Any], status: int, code: str, said: str
) -> None:
    body = assert_problem(web.post(VERSIONS, json=fields), status, code)
    assert said in body["detail"]
    assert len(web.get("/v1/models/cats-dogs").get_json()["versions"]) == 1


def test_a_graph_that_takes_no_images_is_not_given_any(
    web: FlaskClient, settings: Settings
) -> None:
    publish(settings, name="numbers", preprocessing=None)
    sent = web.post("/v1/models/numbers/versions", json={"preprocessing": "raw"})
    assert "freeze the model again" in assert_problem(sent, 422, "not_a_classifier")["detail"]


def test_a_file_that_is_not_what_was_audited_is_not_published(
    web: FlaskClient, settings: Settings
) -> None:
    path = settings.models_folder / "cats-dogs/1/graph.pb"
    path.write_bytes(GRAPH[:-1] + b"!")
    for _ in range(2):
        sent = web.post(VERSIONS, json={"preprocessing": "raw"})
        assert "freeze the model again" in assert_problem(sent, 503, "model_unavailable")["detail"]
        path.unlink(missing_ok=True)
    assert not list((settings.models_folder / ".staging").iterdir())
    assert web.get("/v1/models/cats-dogs").get_json()["aliases"] == {"stable": 1}


def test_a_full_disk_is_said_and_leaves_nothing(web: FlaskClient, settings: Settings) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system that is small enough to fill")
    publish(settings, name="large", graph=bytes(2 * SMALL_BYTES))
    with mounted(settings.models_folder / ".staging"):  # to which files cannot be linked
        sent = web.post("/v1/models/large/versions", json={"preprocessing": "raw"})
        assert_problem(sent, 507, "storage")
        assert not list((settings.models_folder / ".staging").iterdir())
    assert len(web.get("/v1/models/large").get_json()["versions"]) == 1
    sent = web.post("/v1/models/large/versions", json={"preprocessing": "raw"})
    assert sent.status_code == 201


def test_a_version_that_is_set_aside_is_not_published_again(
    web: FlaskClient, settings: Settings, client: redis.Redis
) -> None:
    aside = SetAsideVersions(client, settings)
    aside.add("cats-dogs", 1, sha256="", code="timed_out", reason="it took too long")
    sent = web.post(VERSIONS, json={"preprocessing": "raw"})
    assert_problem(sent, 409, "model_set_aside")


def test_a_version_that_is_retired_meanwhile_is_not_published_again(settings: Settings) -> None:
    publish(settings)
    publish(settings)
    registry = Registry(settings.models_folder)
    source = registry.resolve(ModelRef("cats-dogs", 1, None))
    draft = redrafted(source, preprocessing=PreprocessingSpec.parse("raw"))
    registry.retire("cats-dogs", 1)
    with pytest.raises(ModelNotFoundError, match="retired"):
        registry.republish(source, draft)
    assert [found.version for found in registry.model("cats-dogs").versions] == [2]


def test_all_who_do_it_at_once_get_a_version_of_their_own(settings: Settings) -> None:
    publish(settings)
    source = Registry(settings.models_folder).manifest("cats-dogs", 1)
    raw = PreprocessingSpec.parse("raw")

    def publish_again(_: int) -> int:
        registry = Registry(settings.models_folder)
        return registry.republish(source, redrafted(source, preprocessing=raw)).version

    with ThreadPoolExecutor(8) as pool:
        numbers = sorted(pool.map(publish_again, range(8)))
    assert numbers == list(range(2, 10))
    assert Registry(settings.models_folder).model("cats-dogs").aliases == {"stable": 9}

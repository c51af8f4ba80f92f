"""Models that take no images or give no scores: shown, downloaded, not predicted with."""

from collections.abc import Iterator

import pytest
import redis
from flask.testing import FlaskClient

from tests.support.api import GRAPH, assert_problem, photograph, publish, web_client
from worker.jobs.records import Kind
from worker.jobs.store import JobStore
from worker.models.manifest import Tensor
from worker.settings import Settings


@pytest.fixture
def web(settings: Settings, client: redis.Redis) -> Iterator[FlaskClient]:
    prices = [Tensor(name="X:0", shape=[None, 13], dtype="float32")]
    publish(settings, "prices", inputs=prices, preprocessing=None, scores=None, labels=None)
    masks = [Tensor(name="masks:0", shape=[None, 8, 8], dtype="int64")]
    publish(settings, "masks", outputs=masks, scores=None)
    with web_client(settings) as web:
        yield web


REFUSALS = [
    ("prices", "takes_no_images", "its input is X:0 (float32 [?, 13])"),
    ("masks@1", "gives_no_scores", "its first output is masks:0 (int64 [?, 8, 8])"),
]


@pytest.mark.parametrize(("model", "code", "words"), REFUSALS)
def test_predictions_and_batches_are_refused_when_they_are_submitted(
    web: FlaskClient,
    settings: Settings,
    client: redis.Redis,
    model: str,
    code: str,
    words: str,
) -> None:
    answers = [
        web.post(f"/v1/predictions?model={model}", data=photograph()),
        web.post("/v1/batches", json={"open": True, "model": model}),
    ]
    for answer in answers:
        assert words in assert_problem(answer, 422, code)["detail"]
    assert not JobStore(client, settings).page(kind=Kind.PREDICTION, status=None, limit=1).jobs


def test_the_registry_says_what_they_are(web: FlaskClient) -> None:
    rows = {row["name"]: row["versions"][0] for row in web.get("/v1/models").get_json()["models"]}
    assert {name: row["classifies"] for name, row in rows.items()} == {
        "prices": False,
        "masks": False,
    }
    manifest = web.get("/v1/models/prices/versions/1").get_json()
    assert (manifest["preprocessing"], manifest["scores"]) == (None, None)


def test_they_can_be_downloaded(web: FlaskClient) -> None:
    with web.get("/v1/models/prices/versions/1/graph") as answer:
        assert answer.data == GRAPH
    with web.get("/v1/models/prices/versions/1/savedmodel") as answer:
        assert answer.status_code == 200
        assert GRAPH in answer.data


def test_nothing_waits_for_them_to_be_loaded(web: FlaskClient) -> None:
    assert web.get("/readyz").get_json()["models"] == {}

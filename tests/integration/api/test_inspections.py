"""`POST /v1/inspections`, on a real Redis and without workers."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from tests.support.api import assert_problem
from tests.support.work import Work
from worker.jobs.keys import key
from worker.jobs.records import Kind, Lane
from worker.jobs.uploads import fetch_files

URL = "/v1/inspections"


def _upload(files: dict[str, bytes], options: Any = None) -> dict[str, Any]:
    data: dict[str, Any] = {
        "files": [(io.BytesIO(content), name) for name, content in files.items()]
    }
    if options is not None:
        data["options"] = options if isinstance(options, str) else json.dumps(options)
    return {"content_type": "multipart/form-data", "data": data}


def test_a_path_is_accepted(web: FlaskClient, work: Work) -> None:
    asked = {"source": "models/cats", "signature": "serve", "checkpoint": "model.ckpt-7"}
    response = web.post(URL, json=asked)
    assert response.status_code == 202
    job = response.get_json()
    assert response.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert (job["kind"], job["status"], job["model"]) == ("inspection", "queued", None)
    claim = work.claim(lanes=[Lane.FREEZING])
    assert claim.items[0].kind is Kind.INSPECTION
    assert claim.items[0].options == asked


@pytest.mark.parametrize("options", [None, {"checkpoint": "model"}])
def test_uploaded_files_are_accepted_with_and_without_options(
    web: FlaskClient, work: Work, client: redis.Redis, tmp_path: Path, options: Any
) -> None:
    files = {"model.meta": b"meta", "model.index": b"i"}
    response = web.post(URL, **_upload(files, options))
    assert response.status_code == 202
    paths = fetch_files(client, response.get_json()["id"], tmp_path)
    assert {path.name: path.read_bytes() for path in paths} == files
    claimed = work.claim(lanes=[Lane.FREEZING]).items[0].options
    assert claimed.get("checkpoint") == (options or {}).get("checkpoint")


def test_a_ticket_is_sent_to_the_freezing_lane(web: FlaskClient, client: redis.Redis) -> None:
    web.post(URL, json={"source": "x"})
    assert client.llen(key("tickets", Lane.FREEZING)) == 1


def test_a_repeated_key_returns_the_first_inspection(web: FlaskClient, work: Work) -> None:
    headers = {"Idempotency-Key": "once"}
    first = web.post(URL, json={"source": "x"}, headers=headers).get_json()["id"]
    assert web.post(URL, json={"source": "x"}, headers=headers).get_json()["id"] == first
    other = web.post(URL, json={"source": "y"}, headers=headers)
    assert_problem(other, 422, "idempotency_key_reused")
    # A freeze with the same key asks for something else.
    freeze = web.post("/v1/freezes", json={"source": "x", "name": "m"}, headers=headers)
    assert_problem(freeze, 422, "idempotency_key_reused")


def test_a_repeated_upload_keeps_one_copy_of_the_files(
    web: FlaskClient, work: Work, client: redis.Redis
) -> None:
    ids = {
        web.post(URL, **_upload({"a": b"x"}), headers={"Idempotency-Key": "k"}).get_json()["id"]
        for _ in range(2)
    }
    assert len(ids) == 1
    assert len([name for name in work.key_names() if name.startswith("chunk:")]) == 1


def test_an_inspection_can_be_cancelled_and_listed(web: FlaskClient, work: Work) -> None:
    job = web.post(URL, json={"source": "x"}).get_json()
    assert [one["id"] for one in web.get("/v1/jobs?kind=inspection").get_json()["jobs"]] == [
        job["id"]
    ]
    assert web.delete(f"/v1/jobs/{job['id']}").get_json()["status"] == "cancelled"


@pytest.mark.parametrize(
    ("request_", "status", "code", "detail"),
    [
        ({}, 415, "unsupported_media", "Send JSON"),
        ({"json": []}, 400, "invalid_request", "The inspection request must be a JSON object"),
        ({"json": {}}, 400, "invalid_request", "source: name the model's path"),
        ({"json": {"source": "../x"}}, 400, "invalid_request", "sources root"),
        ({"json": {"source": "x", "name": "m"}}, 400, "invalid_request", "name"),
        ({"json": {"source": "x", "checkpoint": "/x"}}, 400, "invalid_request", "checkpoint"),
        (_upload({}), 400, "invalid_request", "No file was sent"),
        (_upload({"a": b"x"}, "{"), 400, "invalid_request", "not valid JSON"),
        (_upload({"a": b"x"}, {"source": "x"}), 400, "invalid_request", "leave it out"),
        (_upload({"../a": b"x"}), 400, "invalid_request", "not a usable file name"),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_kept(
    web: FlaskClient, work: Work, request_: dict[str, Any], status: int, code: str, detail: str
) -> None:
    body = assert_problem(web.post(URL, **request_), status, code)
    assert detail in body["detail"]
    assert work.key_names() == set()


def test_the_route_is_described_in_the_openapi_document(web: FlaskClient) -> None:
    spec = web.get("/openapi.json").get_json()
    operation = spec["paths"]["/v1/inspections"]["post"]
    assert operation["tags"] == ["inspections"]
    assert {"202", "200"} <= set(operation["responses"])

"""`POST /v1/freezes`, on a real Redis and without workers."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from freezing.job_inputs import bring
from tests.support.api import assert_problem, web_client
from tests.support.work import Work, filled, success
from worker.contract.source_requests import FreezeRequest
from worker.errors import SourceError
from worker.jobs import uploads
from worker.jobs.keys import key
from worker.jobs.records import Lane
from worker.jobs.uploads import fetch_files
from worker.settings import Settings

URL = "/v1/freezes"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_model_bytes": 100_000, "max_image_bytes": 60_000})


def _upload(files: dict[str, bytes], options: Any = None) -> dict[str, Any]:
    options = {"name": "cats-dogs"} if options is None else options
    return {
        "content_type": "multipart/form-data",
        "data": {
            "files": [(io.BytesIO(content), name) for name, content in files.items()],
            "options": options if isinstance(options, str) else json.dumps(options),
        },
    }


def _samples(files: dict[str, bytes], options: Any) -> dict[str, Any]:
    """Return a form that sends samples and nothing else."""
    upload = _upload(files, options)
    upload["data"]["samples"] = upload["data"].pop("files")
    return upload


# -- accepting --------------------------------------------------------------------------------


def test_a_path_is_accepted(web: FlaskClient, work: Work) -> None:
    asked = {"name": "cats-dogs", "source": "models/cats", "outputs": ["y_pred:0"]}
    response = web.post(URL, json=asked)
    assert response.status_code == 202
    job = response.get_json()
    assert response.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert (job["kind"], job["status"], job["model"]) == ("freeze", "queued", None)
    claim = work.claim(lanes=[Lane.FREEZING])
    assert claim.items[0].options.items() >= asked.items()


def test_uploaded_files_are_accepted(
    web: FlaskClient,
    work: Work,
    client: redis.Redis,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(uploads, "CHUNK_BYTES", 1000)
    files = {"model.meta": b"m" * 2500, "model.index": b"i", "variables/model.data": bytes(999)}
    response = web.post(URL, **_upload(files))
    assert response.status_code == 202
    paths = fetch_files(client, response.get_json()["id"], tmp_path)
    assert {str(path.relative_to(tmp_path)): path.read_bytes() for path in paths} == files
    claim = work.claim(lanes=[Lane.FREEZING])
    work.claims.complete(claim, success(claim))
    assert not any(name.startswith(("chunk:", "files:")) for name in work.key_names())


def test_samples_are_kept_apart_from_the_models_files(
    web: FlaskClient, work: Work, client: redis.Redis, settings: Settings, tmp_path: Path
) -> None:
    samples = {"cat.jpg": b"cat", "folder/cat.jpg": b"another"}
    upload = _upload({"model.meta": b"m"}, {"name": "m"})
    upload["data"]["samples"] = [(io.BytesIO(data), name) for name, data in samples.items()]
    job = web.post(URL, **upload).get_json()
    request = FreezeRequest.parse(dict(work.claim(lanes=[Lane.FREEZING]).items[0].options))
    brought = bring(request, job["id"], client=client, workdir=tmp_path, settings=settings)
    assert [path.name for path in brought.source.iterdir()] == ["model.meta"]
    assert [path.name for path in brought.samples] == ["cat.jpg", "cat.jpg"]
    assert [path.read_bytes() for path in brought.samples] == [b"cat", b"another"]


def test_samples_are_sent_or_named_beside_a_path(
    web: FlaskClient, work: Work, client: redis.Redis, settings: Settings, tmp_path: Path
) -> None:
    root = settings.data / "sources"
    root.mkdir(parents=True)
    for name in ("model", "dog.jpg"):
        (root / name).write_bytes(name.encode())
    (root / "outside").symlink_to(tmp_path)
    asked = {"name": "m", "source": "model", "samples": ["dog.jpg"]}
    upload = _upload({}, asked)
    upload["data"]["samples"] = [(io.BytesIO(b"cat"), "cat.jpg")]
    response = web.post(URL, **upload)
    assert response.status_code == 202
    claim = work.claim(lanes=[Lane.FREEZING])
    request = FreezeRequest.parse(dict(claim.items[0].options))
    workdir = tmp_path / "work"
    workdir.mkdir()
    job_id = response.get_json()["id"]
    brought = bring(request, job_id, client=client, workdir=workdir, settings=settings)
    assert brought.source == root / "model"
    assert [path.name for path in brought.samples] == ["cat.jpg", "dog.jpg"]
    for missing in ("dgo.jpg", "outside/secret", "outside"):
        wrong = request.model_copy(update={"samples": [missing]})
        folder = tmp_path / missing.replace("/", "-")
        folder.mkdir()
        with pytest.raises(SourceError, match=f"no file '{missing}'"):
            bring(wrong, job_id, client=client, workdir=folder, settings=settings)


def test_a_ticket_is_sent_to_the_freezing_lane(web: FlaskClient, client: redis.Redis) -> None:
    web.post(URL, json={"name": "m", "source": "x"})
    assert client.llen(key("tickets", Lane.FREEZING)) == 1
    ticket = json.loads(client.lrange(key("tickets", Lane.FREEZING), 0, 0)[0])
    assert ticket["headers"]["task"] == "permafrost.freeze"


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return stream.getvalue()


def form(options: dict[str, Any], **files: tuple[str, bytes]) -> dict[str, Any]:
    data: dict[str, Any] = {
        field: (io.BytesIO(content), name) for field, (name, content) in files.items()
    }
    data["options"] = json.dumps({"name": "m", **options})
    return {"content_type": "multipart/form-data", "data": data}


def test_an_archive_is_accepted_as_it_is(
    web: FlaskClient, client: redis.Redis, tmp_path: Path
) -> None:
    content = zipped({"export/saved_model.pb": b"x"})
    response = web.post(URL, **form({}, archive=("model.zip", content)))
    assert response.status_code == 202
    paths = fetch_files(client, response.get_json()["id"], tmp_path)
    assert [path.name for path in paths] == ["model.zip"]
    assert paths[0].read_bytes() == content


@pytest.mark.parametrize(
    ("options", "files"),
    [
        ({"labels": "1 dog\n0 tabby cat\n"}, {}),
        ({}, {"labels": ("labels.txt", b"0 tabby cat\n1 dog\n")}),
        ({}, {"labels": ("labels.json", b'["tabby cat", "dog"]')}),
        ({"labels": ["tabby cat", "dog"]}, {}),
    ],
)
def test_labels_come_as_a_list_as_text_or_as_a_file(
    web: FlaskClient, work: Work, options: dict[str, Any], files: dict[str, Any]
) -> None:
    response = web.post(URL, **form(options, files=("model.pb", b"x"), **files))
    assert response.status_code == 202
    claim = work.claim(lanes=[Lane.FREEZING])
    assert claim.items[0].options["labels"] == ["tabby cat", "dog"]


@pytest.mark.parametrize(
    ("request_", "status", "detail"),
    [
        (form({}, archive=("m.zip", b"no archive")), 415, "not a zip, tar or tar.gz"),
        (
            form({}, archive=("m.zip", zipped({})), files=("m.pb", b"x")),
            400,
            "Send one `archive`, or",
        ),
        (form({"labels": "a\n\nb"}, files=("m.pb", b"x")), 400, "Label 2 of labels is empty"),
        (
            form({}, files=("m.pb", b"x"), labels=("l.txt", b"\xff\xfe")),
            400,
            "'l.txt' holds no text in UTF-8",
        ),
        (
            form({"labels": ["a"]}, files=("m.pb", b"x"), labels=("l.txt", b"a")),
            400,
            "in `options` or as a file, not both",
        ),
    ],
)
def test_what_is_wrong_with_an_archive_or_labels_is_said(
    web: FlaskClient, work: Work, request_: dict[str, Any], status: int, detail: str
) -> None:
    response = web.post(URL, **request_)
    assert response.status_code == status
    assert detail in response.get_json()["detail"]
    assert work.key_names() == set()


# -- refusing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "status", "code", "detail"),
    [
        ({}, 415, "unsupported_media", "Send JSON"),
        ({"data": b"x"}, 415, "unsupported_media", "Send JSON"),
        (
            {"data": b"{", "content_type": "application/json"},
            400,
            "invalid_request",
            "not valid JSON",
        ),
        (
            {"data": b"[" * 99_999, "content_type": "application/json"},
            400,
            "invalid_request",
            "deep",
        ),
        ({"data": b"\xff", "content_type": "application/json"}, 400, "invalid_request", "JSON"),
        ({"json": []}, 400, "invalid_request", "JSON object"),
        ({"json": {}}, 400, "invalid_request", "name"),
        ({"json": {"name": "m"}}, 400, "invalid_request", "source: name the model's path"),
        ({"json": {"name": "../m", "source": "x"}}, 400, "invalid_request", "not a model name"),
        ({"json": {"name": "m", "source": "../x"}}, 400, "invalid_request", "sources root"),
        (
            {"json": {"name": "m", "source": "x", "set": {"k": "v"}}},
            400,
            "invalid_request",
            "constant for 'k'",
        ),
        ({"json": {"name": "m", "source": "x", "extra": 1}}, 400, "invalid_request", "extra"),
        (
            {"json": {"name": "m", "source": "x", "labels": ["l" * 99] * 99_999}},
            413,
            "too_large",
            "MiB",
        ),
        ({"data": {"options": "{}"}}, 415, "unsupported_media", "Send JSON"),
        (
            {"data": {"a": "b"}, "content_type": "multipart/form-data"},
            400,
            "invalid_request",
            "options",
        ),
        (_upload({}), 400, "invalid_request", "No file was sent"),
        (_upload({"a": b"x"}, "{"), 400, "invalid_request", "not valid JSON"),
        (_upload({"a": b"x"}, {}), 400, "invalid_request", "name"),
        (
            _upload({"a": b"x"}, {"name": "m", "source": "x"}),
            400,
            "invalid_request",
            "leave it out",
        ),
        (
            {"json": {"name": "m", "source": "x", "samples": ["../x"]}},
            400,
            "invalid_request",
            "samples must be paths",
        ),
        (
            {"json": {"name": "m", "source": "x", "samples": ["x"] * 33}},
            400,
            "invalid_request",
            "at most 32",
        ),
        (_upload({".samples/1/x": b"x"}), 400, "invalid_request", "may lie in a folder"),
        (_samples({"x.jpg": b"x"}, {"name": "m"}), 400, "invalid_request", "No file was sent"),
        (
            _samples({"x.jpg": bytes(70_000)}, {"name": "m", "source": "x"}),
            413,
            "too_large",
            "x.jpg",
        ),
        (
            _samples({f"{n}.jpg": b"x" for n in range(33)}, {"name": "m", "source": "x"}),
            400,
            "invalid_request",
            "At most 32 samples",
        ),
        (_upload({"../a": b"x"}), 400, "invalid_request", "not a usable file name"),
        (_upload({"a": b"x", "./a": b"y"}), 400, "invalid_request", "Two files"),
        (_upload({"a": b"x", "a/b": b"y"}), 400, "invalid_request", "as a file and as a folder"),
        (_upload({"a": b"x" * 60_000, "b": b"y" * 60_000}), 413, "too_large", "sources root"),
        (
            {"json": {"name": "m", "source": "x"}, "query_string": {"wait": "x"}},
            400,
            "invalid_request",
            "wait",
        ),
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_kept(
    web: FlaskClient, work: Work, request_: dict[str, Any], status: int, code: str, detail: str
) -> None:
    body = assert_problem(web.post(URL, **request_), status, code)
    assert detail in body["detail"]
    assert work.key_names() == set()


def test_a_model_that_is_too_large_is_refused_before_it_is_read(
    settings: Settings, work: Work
) -> None:
    body = io.BytesIO(b"--x")
    with web_client(settings) as web:
        response = web.post(
            URL,
            input_stream=body,
            content_type="multipart/form-data; boundary=x",
            environ_overrides={"CONTENT_LENGTH": str(10**12)},
        )
    assert_problem(response, 413, "too_large")
    assert body.tell() == 0


def test_too_many_files_are_counted_not_measured(web: FlaskClient, work: Work) -> None:
    files = {f"file-{n}": b"x" for n in range(1001)}
    body = assert_problem(web.post(URL, **_upload(files)), 400, "invalid_request")
    assert "More than 1000 files" in body["detail"]
    assert work.key_names() == set()


def test_a_model_that_would_fill_redis_is_refused(
    web: FlaskClient, work: Work, client: redis.Redis
) -> None:
    used = client.info("memory")["used_memory"]
    client.config_set("maxmemory", str(round((used + 60_000) / 0.75)))
    try:
        response = web.post(URL, **_upload({"a": bytes(400_000)}))
        assert_problem(response, 503, "overloaded")
        assert response.headers["Retry-After"]
    finally:
        client.config_set("maxmemory", "0")
    assert work.key_names() == set()


def test_a_full_redis_keeps_nothing_of_a_model(
    settings: Settings, web: FlaskClient, work: Work, client: redis.Redis
) -> None:
    web.post(URL, json={"name": "m", "source": "x"})  # the memory is looked at only now and then
    with filled(client):
        response = web.post(URL, **_upload({"a": bytes(1000)}))
    assert_problem(response, 503, "overloaded")
    assert not any(name.startswith("chunk:") for name in work.key_names())


def test_files_of_a_job_that_is_not_accepted_are_dropped(
    web: FlaskClient, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise redis.exceptions.ConnectionError("gone")

    monkeypatch.setattr("worker.jobs.store.JobStore.accept", fail)
    assert_problem(web.post(URL, **_upload({"a": b"x"})), 503, "store_unavailable")
    assert work.key_names() == set()

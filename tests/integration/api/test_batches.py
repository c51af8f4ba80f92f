"""`/v1/batches` over HTTP, with a real Redis and a worker that is played by the test."""

import csv
import io
import json
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api import create_app
from tests.support.pictures import jpeg, png
from tests.support.polling import wait_until
from tests.support.system import ROOT, clean_environment, free_port
from worker.contract.batches import BatchRow
from worker.jobs.claims import Claims
from worker.jobs.keys import key
from worker.jobs.records import Lane, Outcome
from worker.models.manifest import ManifestDraft, Tensor
from worker.models.preprocessing import Preprocessing
from worker.models.registry import Registry
from worker.settings import Settings

IMAGE = jpeg(100)


def publish(models: Path) -> None:
    """Publish a model that no worker could load; the API does not look into it."""
    draft = ManifestDraft(
        name="tiny",
        inputs=[Tensor(name="x:0", shape=[None, 8, 8, 3], dtype="float32")],
        outputs=[Tensor(name="y:0", shape=[None, 2], dtype="float32")],
        labels=["cat", "dog"],
        preprocessing=Preprocessing(size=(8, 8)),
    )
    models.mkdir(parents=True, exist_ok=True)
    graph = models / "graph"
    graph.write_bytes(b"graph")
    Registry(models).publish(draft, graph)
    graph.unlink()


@pytest.fixture
def http(settings: Settings) -> FlaskClient:
    publish(settings.models_folder)
    settings.folder_roots[0].mkdir(parents=True)
    return create_app(settings).test_client()


@pytest.fixture
def worker(client: redis.Redis, settings: Settings) -> Claims:
    return Claims(client, settings, "worker-1")


def work(worker: Claims, failing: frozenset[bytes] = frozenset()) -> None:
    error = Outcome(error={"code": "unreadable", "message": "Damaged."})
    good = Outcome(result=[["cat", 0.9], ["dog", 0.1]], label="cat")
    while claim := worker.claim((Lane.INTERACTIVE, Lane.BULK), 16):
        worker.complete(claim, {c.item: error if c.path in failing else good for c in claim.items})


def form(*files: tuple[str, bytes], field: str = "images", **fields: str) -> dict[str, Any]:
    sent: dict[str, Any] = dict(fields)
    sent[field] = [(io.BytesIO(content), name) for name, content in files]
    return {"data": sent, "content_type": "multipart/form-data"}


def job_of(answer: TestResponse, status: int = 202) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    job: dict[str, Any] = answer.json or {}
    return job


def problem_of(answer: TestResponse, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/problem+json"
    return str((answer.json or {})["detail"])


def rows(http: FlaskClient, job: dict[str, Any], query: str = "") -> list[dict[str, Any]]:
    answer = http.get(f"/v1/batches/{job['id']}/results{query}")
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.text.splitlines()]


def read(http: FlaskClient, job: dict[str, Any]) -> dict[str, Any]:
    return job_of(http.get(f"/v1/jobs/{job['id']}"), 200)


def test_many_files_in_one_request_are_one_batch(http: FlaskClient, worker: Claims) -> None:
    files = [(f"{n}.jpg", IMAGE) for n in range(300)]
    answer = http.post("/v1/batches", **form(("notes.txt", b"text"), *files, model="tiny"))
    job = job_of(answer)
    assert answer.headers["Location"] == f"/v1/jobs/{job['id']}"
    assert job["model"]["version"] == 1
    work(worker, frozenset({b"7.jpg"}))
    job = read(http, job)
    assert job["status"] == "succeeded"
    assert job["progress"]["total"] == 300
    assert (job["progress"]["failed"], job["progress"]["skipped"]) == (1, 1)
    assert job["result"] == {"labels": {"cat": 299}}
    page = http.get(f"/jobs/{job['id']}").text
    assert 'title="cat: 299"' in page
    assert (
        f'href="{job["links"]["results"]}?format=csv&amp;bom=1&amp;status=failed&amp;order=path"'
        in page
    )
    found = rows(http, job)
    assert [row["path"] for row in found] == [name for name, _ in files]
    in_order = http.get(f"{job['links']['results']}?order=path").text.splitlines()
    sent = sorted(name.encode() for name, _ in files)
    assert [BatchRow.model_validate_json(line).path.encode() for line in in_order] == sent
    assert found[0]["sha256"] == job["model"]["sha256"]
    assert [row["path"] for row in rows(http, job, "?status=failed")] == ["7.jpg"]


def test_an_archive_is_a_batch_of_its_files(http: FlaskClient, worker: Claims) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a/1.jpg", IMAGE)
        archive.writestr("a/readme.txt", "text")
        archive.writestr("../b.png", png(3))
        archive.writestr("empty.jpg", b"")
    job = job_of(
        http.post("/v1/batches?model=tiny", **form(("x.zip", buffer.getvalue()), field="archive"))
    )
    work(worker)
    assert [(row["path"], row["status"]) for row in rows(http, job)] == [
        ("a/1.jpg", "succeeded"),
        ("../b.png", "succeeded"),
        ("empty.jpg", "failed"),
    ]
    assert read(http, job)["progress"]["skipped"] == 1


def test_a_batch_is_opened_added_to_and_sealed(http: FlaskClient, worker: Claims) -> None:
    job = job_of(http.post("/v1/batches", json={"open": True, "model": "tiny", "top": 1}))
    add = f"/v1/batches/{job['id']}/images"
    first = http.post(add, **form(("a.jpg", IMAGE), ("b.jpg", IMAGE), ("c.txt", b"text")))
    assert first.json == {"added": 2, "already": 0, "skipped": 1}
    again = http.post(add, **form(("a.jpg", IMAGE), ("d.jpg", IMAGE), ("c.txt", b"text")))
    assert again.json == {"added": 1, "already": 1, "skipped": 1}
    assert http.get(add).text.splitlines() == ['"a.jpg"', '"b.jpg"', '"d.jpg"']
    work(worker)
    assert read(http, job)["progress"]["sealed"] is False
    for _ in range(2):
        job_of(http.post(f"/v1/batches/{job['id']}/seal"))
    job = read(http, job)
    assert (job["status"], job["progress"]["skipped"]) == ("succeeded", 1)
    assert "sealed" in problem_of(http.post(add, **form(("e.jpg", IMAGE))), 409)


def test_different_pictures_of_one_name_in_a_request_are_all_kept(http: FlaskClient) -> None:
    job = job_of(http.post("/v1/batches", json={"open": True, "model": "tiny"}))
    add = f"/v1/batches/{job['id']}/images"
    files = [("1.jpg", jpeg(1)), ("1.jpg", jpeg(2)), ("1.jpg", jpeg(1)), ("1.jpg", jpeg(3))]
    assert http.post(add, **form(*files)).json == {"added": 3, "already": 1, "skipped": 0}
    assert http.get(add).text.splitlines() == ['"1.jpg"', '"1 (2).jpg"', '"1 (3).jpg"']
    assert http.post(add, **form(*files)).json == {"added": 0, "already": 4, "skipped": 0}


def test_the_same_key_opens_the_same_batch(http: FlaskClient) -> None:
    headers = {"Idempotency-Key": "folder-1"}
    body = {"open": True, "model": "tiny"}
    ids = {job_of(http.post("/v1/batches", json=body, headers=headers))["id"] for _ in range(2)}
    assert len(ids) == 1
    problem_of(http.post("/v1/batches", json={**body, "top": 2}, headers=headers), 422)


def test_the_same_key_does_not_disturb_the_batch_of_the_first_request(
    http: FlaskClient, worker: Claims
) -> None:
    headers = {"Idempotency-Key": "upload-1"}
    files = [(f"{n}.jpg", IMAGE) for n in range(20)]
    first = job_of(http.post("/v1/batches", **form(*files), headers=headers))
    second = job_of(http.post("/v1/batches", **form(*files), headers=headers))
    assert first["id"] == second["id"]
    work(worker)
    job = read(http, first)
    assert (job["status"], job["progress"]["total"]) == ("succeeded", 20)


@pytest.mark.parametrize("end", [b"", b"\r\n--x", b"\r\n--x\r\nbroken"])
def test_of_a_request_that_breaks_off_nothing_goes_on(
    http: FlaskClient, worker: Claims, client: redis.Redis, end: bytes
) -> None:
    parts = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="images"; filename="%d.jpg"\r\n\r\n%s\r\n'
        % (n, IMAGE)
        for n in range(450)
    )
    answer = http.post(
        "/v1/batches",
        data=parts + b"--x\r\nContent-Disposition: form-data" + end,
        content_type="multipart/form-data; boundary=x",
        headers={"Idempotency-Key": "broken"},
    )
    problem_of(answer, 400)
    jobs = http.get("/v1/jobs?kind=batch").json or {}
    assert [(job["status"], job["error"]["code"]) for job in jobs["jobs"]] == [
        ("failed", "upload_broken")
    ]
    assert worker.claim((Lane.BULK,), 16) is None
    assert not list(client.scan_iter(key("upload", "*", "*")))
    whole = form(("a.jpg", IMAGE))
    again = job_of(http.post("/v1/batches", **whole, headers={"Idempotency-Key": "broken"}))
    assert again["id"] != jobs["jobs"][0]["id"]


def test_of_a_damaged_archive_nothing_goes_on(http: FlaskClient, worker: Claims) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.jpg", IMAGE)
    images = [("images", (f"{n}.jpg", IMAGE)) for n in range(300)]
    request = httpx.Request(
        "POST", "http://x/", files=[*images, ("archive", ("b.zip", buffer.getvalue()[:-30]))]
    )
    answer = http.post(
        "/v1/batches", data=request.read(), content_type=request.headers["Content-Type"]
    )
    assert "damaged" in problem_of(answer, 400)
    assert worker.claim((Lane.BULK,), 16) is None


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"folder": "nowhere", "model": "tiny"}, 404, "There is no folder 'nowhere'"),
        ({"folder": "../etc", "model": "tiny"}, 400, "without '..'"),
        ({"folder": "n" * 5000, "model": "tiny"}, 404, "There is no folder"),
        ({"folder": "half a pair \ud800", "model": "tiny"}, 400, "no Unicode"),
        ({"folder": 3}, 400, "folder"),
        ({}, 400, "folder"),
        ({"folder": ".", "model": "other"}, 404, "There is no model 'other'"),
        ({"folder": ".", "model": "tiny@7"}, 404, "no version or alias '7'"),
        ({"folder": ".", "top": 0}, 400, "top must be"),
        ({"folder": ".", "recursive": "yes"}, 400, "recursive"),
        ({"folder": ".", "patterns": "*.jpg"}, 400, "patterns"),
        ({"folder": ".", "patterns": ["a" * 500]}, 400, "patterns"),
        ({"folder": ".", "colour": "red"}, 400, "The batch of a folder has no field 'colour'."),
        ({"folder": ".", "pattern": []}, 400, "Did you mean 'patterns'?"),
        ({"folder": ".", "top": "5"}, 400, "top must be a whole number, not '5'."),
        ({"open": True, "folder": "."}, 400, "The open batch has no field 'folder'."),
        ({"open": "yes"}, 400, "open must be true, not 'yes'."),
        ({"model": "tiny"}, 400, "Name a `folder`"),
        ([], 400, "JSON object"),
    ],
)
def test_a_wrong_request_is_answered_with_what_is_wrong(
    http: FlaskClient, body: Any, status: int, words: str
) -> None:
    assert words in problem_of(http.post("/v1/batches", json=body), status)


def test_json_that_is_nested_too_deeply_is_refused(http: FlaskClient) -> None:
    body = b'{"folder": ' + b"[" * 99_999
    answer = http.post("/v1/batches", data=body, content_type="application/json")
    assert "nested too deeply" in problem_of(answer, 400)


def test_a_wait_that_is_no_number_is_refused_before_anything_is_done(http: FlaskClient) -> None:
    assert "wait" in problem_of(http.post("/v1/batches?wait=x", json={"open": True}), 400)
    assert http.get("/v1/jobs").get_json()["jobs"] == []
    batch = job_of(http.post("/v1/batches", json={"open": True}))["id"]
    assert "wait" in problem_of(http.post(f"/v1/batches/{batch}/seal?wait=x"), 400)
    assert not http.get(f"/v1/jobs/{batch}").get_json()["progress"]["sealed"]


def test_a_form_without_files_or_with_unknown_fields_is_refused(http: FlaskClient) -> None:
    assert "no file" in problem_of(http.post("/v1/batches", **form()), 400)
    unknown = form(("a.jpg", IMAGE), colour="red")
    assert "'colour'" in problem_of(http.post("/v1/batches", **unknown), 400)
    wrong = form(("a.jpg", IMAGE), field="picture")
    assert "'picture'" in problem_of(http.post("/v1/batches", **wrong), 400)
    assert "multipart" in problem_of(http.post("/v1/batches", data=b"x"), 415)
    assert (http.get("/v1/jobs?kind=batch").json or {})["jobs"] == []


def test_a_field_behind_a_file_is_refused_and_nothing_goes_on(http: FlaskClient) -> None:
    request = httpx.Request("POST", "http://x/", files=[("images", ("a.jpg", IMAGE))])
    body = request.read().replace(
        b"--\r\n", b'\r\nContent-Disposition: form-data; name="top"\r\n\r\n3\r\n', 1
    )
    boundary = request.headers["Content-Type"].partition("boundary=")[2].encode()
    answer = http.post(
        "/v1/batches",
        data=body + b"--" + boundary + b"--\r\n",
        content_type=request.headers["Content-Type"],
    )
    assert "before the first file" in problem_of(answer, 400)


def test_only_an_opened_batch_can_be_added_to_or_sealed(
    http: FlaskClient, settings: Settings
) -> None:
    folder = job_of(http.post("/v1/batches", json={"folder": "."}))
    sent = job_of(http.post("/v1/batches", **form(("a.jpg", IMAGE))))
    for job in (folder, sent):
        base = f"/v1/batches/{job['id']}"
        assert "not opened" in problem_of(http.post(f"{base}/seal"), 409)
        assert "not opened" in problem_of(
            http.post(f"{base}/images", **form(("b.jpg", IMAGE))), 409
        )


def test_what_is_no_batch_is_not_found(http: FlaskClient) -> None:
    prediction = job_of(http.post("/v1/predictions", data=IMAGE, content_type="image/jpeg"))
    for job_id in (prediction["id"], "0" * 26, "nonsense"):
        problem_of(http.get(f"/v1/batches/{job_id}/results"), 404)
        problem_of(http.post(f"/v1/batches/{job_id}/retry"), 404)


def test_a_retry_runs_the_failures_again(http: FlaskClient, worker: Claims) -> None:
    job = job_of(http.post("/v1/batches", **form(("a.jpg", IMAGE), ("b.jpg", IMAGE))))
    work(worker, frozenset({b"b.jpg"}))
    assert read(http, job)["progress"]["failed"] == 1
    job = job_of(http.post(f"/v1/batches/{job['id']}/retry"))
    assert job["status"] == "running"
    work(worker)
    assert [row["status"] for row in rows(http, job)] == ["succeeded", "succeeded"]


def test_a_cancelled_batch_keeps_its_rows_and_cannot_be_tried_again(
    http: FlaskClient, worker: Claims
) -> None:
    job = job_of(http.post("/v1/batches", **form(*[(f"{n}.jpg", IMAGE) for n in range(40)])))
    claim = worker.claim((Lane.BULK,), 16)
    assert claim
    good = Outcome(result=[["cat", 1.0]], label="cat")
    worker.complete(claim, {claimed.item: good for claimed in claim.items})
    assert job_of(http.delete(f"/v1/jobs/{job['id']}"), 200)["status"] == "cancelled"
    assert len(rows(http, job)) == 16
    problem_of(http.post(f"/v1/batches/{job['id']}/retry"), 409)


def test_results_are_streamed_while_the_batch_runs(http: FlaskClient, worker: Claims) -> None:
    job = job_of(http.post("/v1/batches", **form(*[(f"{n}.jpg", IMAGE) for n in range(40)])))
    assert rows(http, job) == []
    claim = worker.claim((Lane.BULK,), 16)
    assert claim
    good = Outcome(result=[["cat", 1.0]], label="cat")
    worker.complete(claim, {claimed.item: good for claimed in claim.items})
    assert len(rows(http, job)) == 16
    assert read(http, job)["progress"]["percent"] == 40.0


def test_csv_is_read_back_and_harmless(http: FlaskClient, worker: Claims) -> None:
    names = ["=1+1.jpg", 'a"b.jpg', "a\nb.jpg", "a,b.jpg"]
    request = httpx.Request(
        "POST", "http://x/", files=[("images", (name, IMAGE)) for name in names]
    )
    job = job_of(
        http.post("/v1/batches", data=request.read(), content_type=request.headers["Content-Type"])
    )
    work(worker)
    answer = http.get(f"/v1/batches/{job['id']}/results?format=csv")
    assert answer.mimetype == "text/csv"
    table = list(csv.DictReader(io.StringIO(answer.text, newline="")))
    assert [row["path"] for row in table] == ["'=1+1.jpg", *names[1:]]
    assert json.loads(table[0]["predictions"])[0] == {"label": "cat", "score": 0.9}
    marked = http.get(f"/v1/batches/{job['id']}/results?format=csv&bom=1").data
    assert marked == b"\xef\xbb\xbf" + answer.data
    assert http.get(f"/v1/batches/{job['id']}/results?bom=2").status_code == 400


@pytest.mark.parametrize("query", ["format=xml", "status=late", "order=size"])
def test_an_unknown_format_or_status_is_refused(http: FlaskClient, query: str) -> None:
    job = job_of(http.post("/v1/batches", json={"folder": "."}))
    problem_of(http.get(f"/v1/batches/{job['id']}/results?{query}"), 400)


def test_an_image_above_the_limit_is_a_row(redis_server: Any, settings: Settings) -> None:
    publish(settings.models_folder)
    small = settings.model_copy(update={"max_image_bytes": len(IMAGE)})
    http = create_app(small).test_client()
    files = form(("a.jpg", IMAGE + b"x"), ("b.jpg", IMAGE))
    job = job_of(http.post("/v1/batches", **files))
    (row,) = rows(http, job)
    assert (row["path"], row["error"]["code"]) == ("a.jpg", "file_too_large")


@pytest.fixture
def server(settings: Settings, tmp_path: Path) -> Iterator[tuple[str, psutil.Process]]:
    """Run a real API process; give its URL and the process that answers."""
    publish(settings.models_folder)
    port = free_port()
    command = ["gunicorn", "api:create_app()", "--bind", f"127.0.0.1:{port}"]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command, "--worker-class", "gthread", "--threads", "4"],
            cwd=ROOT,
            env=clean_environment(REDIS_URL=settings.redis_url, PERMAFROST_DATA=str(settings.data)),
            stdout=log,
            stderr=log,
        )
    url = f"http://127.0.0.1:{port}"

    def healthy() -> bool:
        try:
            return httpx.get(f"{url}/healthz").status_code == 200
        except httpx.TransportError:
            return False

    try:
        wait_until(healthy, within_s=60, what="the API answers")
        (child,) = psutil.Process(process.pid).children()
        yield url, child
    finally:
        process.terminate()
        process.wait(timeout=30)


def test_the_apis_memory_does_not_grow_with_the_request(
    server: tuple[str, psutil.Process], client: redis.Redis, worker: Claims
) -> None:
    url, process = server
    size, count = 30_000, 10_000
    image = IMAGE + bytes(size - len(IMAGE))

    def body() -> Iterator[bytes]:
        for number in range(count):
            head = f'form-data; name="images"; filename="{number}.jpg"'
            yield f"--x\r\nContent-Disposition: {head}\r\n\r\n".encode() + image + b"\r\n"
        yield b"--x--\r\n"

    sent = threading.Event()
    most = [0]

    def watch() -> None:
        while not sent.wait(0.05):
            most[0] = max(most[0], process.memory_info().rss)

    def eat() -> None:
        while not sent.is_set() or worker_has_work():
            work(worker)

    def worker_has_work() -> bool:
        return bool(client.zcard(key("lane", "bulk")))

    httpx.get(f"{url}/v1/jobs")
    before = process.memory_info().rss
    helpers = [threading.Thread(target=watch), threading.Thread(target=eat)]
    for helper in helpers:
        helper.start()
    try:
        answer = httpx.post(
            f"{url}/v1/batches",
            content=body(),
            headers={"Content-Type": "multipart/form-data; boundary=x"},
            timeout=240,
        )
    finally:
        sent.set()
        for helper in helpers:
            helper.join()
    assert answer.status_code == 202, answer.text
    job = httpx.get(f"{url}{answer.headers['Location']}").json()
    assert job["progress"]["succeeded"] == count
    assert most[0] - before < 50_000_000


def test_when_the_client_goes_away_nothing_goes_on(
    server: tuple[str, psutil.Process], worker: Claims
) -> None:
    url, _ = server

    def body() -> Iterator[bytes]:
        for number in range(450):
            head = f'form-data; name="images"; filename="{number}.jpg"'
            yield f"--x\r\nContent-Disposition: {head}\r\n\r\n".encode() + IMAGE + b"\r\n"
        raise ConnectionAbortedError

    with pytest.raises(ConnectionAbortedError):
        httpx.post(
            f"{url}/v1/batches",
            content=body(),
            headers={"Content-Type": "multipart/form-data; boundary=x"},
        )

    def failed() -> bool:
        jobs = httpx.get(f"{url}/v1/jobs?kind=batch").json()["jobs"]
        return [job["status"] for job in jobs] == ["failed"]

    wait_until(failed, within_s=20, what="the batch is given up")
    assert worker.claim((Lane.BULK,), 16) is None

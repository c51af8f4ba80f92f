"""A client that openapi-python-client makes of the document: it uploads, and reads what came."""

import importlib
import io
import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.support.client_generator import generate
from tests.support.pictures import jpeg
from tests.support.system import System

NAME = "permafrost_api"


class Generated:
    """The generated package, and a client of it."""

    def __init__(self, url: str) -> None:
        self.models: Any = self.module("models")
        self.client: Any = self.module("client").Client(base_url=url, timeout=httpx.Timeout(120))
        self._file = self.module("types").File

    @staticmethod
    def module(name: str) -> Any:
        return importlib.import_module(f"{NAME}.{name}")

    def call(self, tag: str, operation: str, *path: Any, **arguments: Any) -> Any:
        """Return what an operation answers, parsed."""
        module = self.module(f"api.{tag}.{operation}")
        return module.sync(*path, client=self.client, **arguments)

    def file(self, name: str, content: bytes) -> Any:
        return self._file(payload=io.BytesIO(content), file_name=name, mime_type="image/jpeg")

    def ended(self, job: Any) -> Any:
        """Return the job once it has ended."""
        deadline = time.monotonic() + 120
        while job.finished_at is None:
            assert time.monotonic() < deadline
            job = self.call("jobs", "read_job", job.id, wait=20)
        return job


@pytest.fixture(scope="module")
def api(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Generated]:
    folder = tmp_path_factory.mktemp("generated")
    document = folder / "openapi.json"
    document.write_bytes(httpx.get(f"{system.url}/openapi.json").content)
    assert (
        generate(document, folder / NAME).strip() == ""
    )  # of nothing is said that it was left out
    sys.path.insert(0, str(folder))
    try:
        generated = Generated(system.url)
        with generated.client:
            yield generated
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
            del sys.modules[name]


def test_an_image_is_uploaded_and_its_answer_read(api: Generated) -> None:
    form = api.models.PredictionForm(image=api.file("a.jpg", jpeg(200)), model="cats-dogs", top=2)
    job = api.ended(api.call("predictions", "create_prediction", body=form, wait=20))
    assert isinstance(job, api.models.PredictionJob)
    assert (job.status, job.model.name, job.error) == ("succeeded", "cats-dogs", None)
    assert {one.label for one in job.result.predictions} == {"cat", "dog"}
    assert sum(one.score for one in job.result.predictions) == pytest.approx(1, abs=1e-4)
    assert job.created_at <= job.started_at <= job.finished_at  # of `datetime`
    page = api.call("jobs", "list_jobs", limit=1, kind=api.models.ListJobsKind.PREDICTION)
    assert isinstance(page, api.models.JobPage)
    assert isinstance(page.jobs[0], api.models.PredictionJob)


def test_a_batch_is_uploaded_and_its_rows_read(api: Generated) -> None:
    files = [api.file("a.jpg", jpeg(10)), api.file("b.jpg", jpeg(250)), api.file("c.jpg", b"none")]
    form = api.models.BatchForm(images=files, model="cats-dogs")
    job = api.ended(api.call("batches", "create_batch", body=form))
    assert isinstance(job, api.models.BatchJob)
    assert (job.progress.total, job.progress.failed, job.progress.percent) == (3, 1, 100)
    assert sum(job.result.labels.additional_properties.values()) == 2
    lines = api.call("batches", "read_results", job.id).splitlines()
    rows = [api.models.BatchRow.from_dict(json.loads(line)) for line in lines]
    assert [(row.path, row.status) for row in rows] == [
        ("a.jpg", "succeeded"),
        ("b.jpg", "succeeded"),
        ("c.jpg", "failed"),
    ]
    assert rows[0].predictions[0].label == rows[0].label
    assert rows[2].error.code == "not_an_image"


def test_a_freeze_is_uploaded_and_its_result_read(api: Generated) -> None:
    graph = api.call("models", "download_graph", "cats-dogs", "stable").payload.read()
    options = api.models.FreezeRequest(name="generated", labels=["cat", "dog"])
    form = api.models.FreezeForm(options=options, files=[api.file("graph.pb", graph)])
    job = api.ended(api.call("freezes", "create_freeze", body=form))
    assert isinstance(job, api.models.FreezeJob)
    assert job.error is None, job.log
    assert (job.model.name, job.model.version, job.result.classifies) == ("generated", 1, True)
    assert job.result.verification.top1_agreement == 1
    assert [step.number for step in job.steps] == list(range(1, len(job.steps) + 1))
    version = api.call("models", "read_version", "generated", "1")
    assert isinstance(version, api.models.Version)
    assert version.sha256 == job.result.sha256
    model = api.call("models", "read_model", "generated")
    assert isinstance(model, api.models.Model)
    assert model.aliases.additional_properties == {"stable": 1}


@pytest.mark.parametrize(
    ("ask", "kind", "code"),
    [
        (lambda api: api.call("jobs", "read_job", "0" * 26), "Problem404", "not_found"),
        (lambda api: api.call("models", "read_model", "none"), "Problem404", "model_not_found"),
    ],
)
def test_a_refusal_is_read(
    api: Generated, ask: Callable[[Generated], Any], kind: str, code: str
) -> None:
    problem = ask(api)
    assert isinstance(problem, getattr(api.models, kind))
    assert problem.code == code
    assert problem.detail.endswith(".")


def test_what_operators_ask_is_read(api: Generated) -> None:
    assert api.call("operations", "check_health").status == "ok"
    assert api.call("operations", "check_readiness").models["cats-dogs"] == "ready"
    workers = api.call("workers", "list_workers").workers
    assert {worker.state for worker in workers} <= {"starting", "ready"}
    assert "interactive" in {queue for worker in workers for queue in worker.queues}
    assert api.call("keys", "read_own_key").key is None

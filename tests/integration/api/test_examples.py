"""Examples of a freeze and `POST /v1/comparisons`, on a real Redis and without workers."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from freezing.job_inputs import bring
from tests.integration.api.test_freezes import zipped
from tests.support.api import assert_problem, photograph, publish
from tests.support.work import Work
from worker.contract.source_requests import ComparisonRequest, FreezeRequest
from worker.errors import SourceError
from worker.images.examples import find_examples
from worker.jobs.records import Lane
from worker.jobs.uploads import fetch_files
from worker.settings import Settings

PICTURE = photograph()


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"max_model_bytes": 100_000, "max_image_bytes": 60_000})


def _form(options: dict[str, Any] | None, **files: list[tuple[str, bytes]]) -> dict[str, Any]:
    data: dict[str, Any] = {
        field: [(io.BytesIO(content), name) for name, content in named]
        for field, named in files.items()
    }
    if options is not None:
        data["options"] = json.dumps({"name": "m", **options})
    return {"content_type": "multipart/form-data", "data": data}


MODEL = [("model.pb", b"x")]
BOTH = [("cat/1.png", PICTURE), ("dog/2.png", PICTURE)]
TABLE = ("examples.csv", b"file,label\n1.png,cat\n2.png,dog\n")


@pytest.mark.parametrize(
    "examples",
    [
        BOTH,
        [("1.png", PICTURE), ("2.png", PICTURE), TABLE],
        [("all.zip", zipped(dict(BOTH)))],
        [
            (
                "all.zip",
                zipped({"in/1.png": PICTURE, "in/2.png": PICTURE, f"in/{TABLE[0]}": TABLE[1]}),
            )
        ],
    ],
    ids=["folders", "a table", "an archive of folders", "an archive with a table"],
)
def test_examples_come_in_folders_in_a_table_or_in_an_archive(
    web: FlaskClient,
    work: Work,
    client: redis.Redis,
    settings: Settings,
    tmp_path: Path,
    examples: list[tuple[str, bytes]],
) -> None:
    response = web.post("/v1/freezes", **_form({}, files=MODEL, examples=examples))
    assert response.status_code == 202
    claim = work.claim(lanes=[Lane.FREEZING])
    request = FreezeRequest.parse(dict(claim.items[0].options))
    job_id = response.get_json()["id"]
    brought = bring(request, job_id, client=client, workdir=tmp_path, settings=settings)
    assert [path.name for path in brought.source.iterdir()] == ["model.pb"]
    assert brought.examples is not None
    found = find_examples(brought.examples)
    assert [(one.path.name, one.label) for one in found] == [("1.png", "cat"), ("2.png", "dog")]


def test_examples_are_named_by_a_path_as_well(
    web: FlaskClient, work: Work, client: redis.Redis, settings: Settings, tmp_path: Path
) -> None:
    root = settings.data / "sources"
    for name, content in BOTH:
        (root / "examples" / name).parent.mkdir(parents=True)
        (root / "examples" / name).write_bytes(content)
    (root / "model.pb").write_bytes(b"x")
    (root / "outside").symlink_to(tmp_path)
    asked = {"name": "m", "source": "model.pb", "examples": "examples"}
    response = web.post("/v1/freezes", json=asked)
    assert response.status_code == 202
    request = FreezeRequest.parse(dict(work.claim(lanes=[Lane.FREEZING]).items[0].options))
    workdir = tmp_path / "work"
    workdir.mkdir()
    job_id = response.get_json()["id"]
    brought = bring(request, job_id, client=client, workdir=workdir, settings=settings)
    assert brought.examples == root / "examples"
    for wrong in ("outside", "nowhere"):
        folder = tmp_path / wrong
        folder.mkdir()
        with pytest.raises(SourceError, match=f"no '{wrong}'"):
            bring(
                request.model_copy(update={"examples": wrong}),
                job_id,
                client=client,
                workdir=folder,
                settings=settings,
            )


@pytest.mark.parametrize(
    ("request_", "status", "detail"),
    [
        (_form({}, files=MODEL, examples=[("1.png", PICTURE)]), 415, "not a zip, tar or tar.gz"),
        (
            _form({}, files=MODEL, examples=[("a.zip", zipped({}))]),
            400,
            "The archive of examples is empty",
        ),
        (_form({"examples": "there"}, files=MODEL, examples=BOTH), 400, "not both"),
        (_form({}, files=MODEL, examples=[*BOTH, ("cat/../../x", b"")]), 400, "usable file name"),
        (_form({}, files=MODEL, examples=[("a", b"x" * 60_001), *BOTH]), 413, "The example 'a'"),
        (_form({}, files=MODEL, examples=[("1.png", b"")] * 202), 400, "At most 200 examples"),
        (_form({}, files=[(".examples/x", b"")]), 400, "may lie in a folder '.examples'"),
        ({"json": {"name": "m", "source": "x", "examples": "../x"}}, 400, "without '..'"),
        (_form({"source": "x"}, files=MODEL, examples=BOTH), 400, "leave it out"),
    ],
)
def test_examples_that_cannot_be_are_refused(
    web: FlaskClient, work: Work, request_: dict[str, Any], status: int, detail: str
) -> None:
    response = web.post("/v1/freezes", **request_)
    assert response.status_code == status, response.get_json()
    assert detail in response.get_json()["detail"]
    assert work.key_names() == set()


# -- comparisons ------------------------------------------------------------------------------


def test_a_comparison_is_accepted_for_the_version_that_is_meant(
    web: FlaskClient, work: Work, client: redis.Redis, settings: Settings, tmp_path: Path
) -> None:
    manifest = publish(settings)
    images = [("b/dog.png", PICTURE), ("a.png", PICTURE + b"!")]
    form = _form(None, images=images)
    form["data"] |= {"model": "cats-dogs", "top": "2"}
    response = web.post("/v1/comparisons", **form)
    assert response.status_code == 202
    job = response.get_json()
    assert (job["kind"], job["status"]) == ("comparison", "queued")
    assert job["model"] == {"name": "cats-dogs", "version": 1, "sha256": manifest.sha256}
    claim = work.claim(lanes=[Lane.FREEZING])
    asked = ComparisonRequest.model_validate(claim.items[0].options)
    assert (asked.model, asked.version, asked.top) == ("cats-dogs", 1, 2)
    assert asked.digest == manifest.digest
    paths = sorted(fetch_files(client, job["id"], tmp_path))
    assert [path.name for path in paths] == ["dog.png", "a.png"]
    listed = web.get("/v1/jobs?kind=comparison").get_json()["jobs"]
    assert [one["id"] for one in listed] == [job["id"]]
    assert "Comparison" in web.get(f"/jobs/{job['id']}").text
    assert "cats-dogs@1" in web.get("/jobs").text


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"data": PICTURE}, 415, "unsupported_media"),
        (_form(None, images=[]), 400, "invalid_request"),
        (_form(None, images=[("x", PICTURE)] * 9), 400, "invalid_request"),
        (_form(None, images=[("x", b"no picture")]), 415, "unsupported_media"),
        (_form(None, images=[("x", PICTURE + bytes(60_000))]), 413, "too_large"),
    ],
)
def test_comparisons_that_cannot_be_are_refused(
    web: FlaskClient,
    work: Work,
    settings: Settings,
    request_: dict[str, Any],
    status: int,
    code: str,
) -> None:
    publish(settings)
    assert_problem(web.post("/v1/comparisons?model=cats-dogs", **request_), status, code)
    assert work.key_names() == set()


def test_a_comparison_needs_a_model_that_classifies(web: FlaskClient, settings: Settings) -> None:
    publish(settings, scores=None)
    form = _form(None, images=[("x.png", PICTURE)])
    assert_problem(web.post("/v1/comparisons?model=nothing", **form), 404, "model_not_found")
    form = _form(None, images=[("x.png", PICTURE)])
    assert_problem(web.post("/v1/comparisons?model=cats-dogs", **form), 422, "gives_no_scores")

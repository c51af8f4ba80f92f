"""The OpenAPI document: valid, whole, and made of the models that answers are made of."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from flask import Flask
from openapi_spec_validator import OpenAPIV31SpecValidator

from api import create_app
from api.described import examples
from api.described.document import OPERATIONS
from api.described.problems import PROBLEM_JSON
from tests.support.conformity import check, described, resolved
from tests.support.system import ROOT, clean_environment
from worker import errors
from worker.contract.base import as_json, as_text
from worker.contract.jobs import Job as Answered
from worker.errors import PermafrostError
from worker.jobs.log_lines import LogLine
from worker.jobs.presentation import job_answer
from worker.jobs.records import Job, JobProgress, Kind, PinnedModel, Status, WebhookState
from worker.settings import Settings

OPTIONS = {"model": "cats-dogs", "version": 1, "sha256": "ab" * 32}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    app = create_app(Settings(redis_url="redis://127.0.0.1:1", data=tmp_path_factory.mktemp("api")))
    yield app
    app.extensions["services"].close()


def _operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described()["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def _sent() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Give the operations, and the webhooks that the server sends."""
    yield from _operations()
    for name, methods in described()["webhooks"].items():
        for method, operation in methods.items():
            yield method, name, operation


def test_the_document_is_valid() -> None:
    assert described()["openapi"].startswith("3.1.")
    assert [str(error) for error in OpenAPIV31SpecValidator(described()).iter_errors()] == []


def test_what_is_answered_is_described_and_what_is_described_is_answered(app: Flask) -> None:
    answered = {
        (method.lower(), re.sub(r"<(?:[^<>]+:)?(\w+)>", r"{\1}", rule.rule))
        for rule in app.url_map.iter_rules()
        if not rule.endpoint.startswith("pages.")
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert {(method, path) for method, path, _ in _operations()} == answered
    views = {rule.endpoint for rule in app.url_map.iter_rules()}
    assert {operation.view for operation in OPERATIONS} <= views


def test_every_operation_says_all_that_a_client_needs() -> None:
    ids = [operation["operationId"] for _, _, operation in _operations()]
    assert len(ids) == len({*ids})
    for method, path, operation in _operations():
        asked = f"{method} {path}"
        assert operation["summary"].endswith("."), asked
        assert operation["tags"], asked
        parameters = operation.get("parameters", [])
        in_path = [one["name"] for one in parameters if one["in"] == "path"]
        assert in_path == re.findall(r"{(\w+)}", path), asked
        for parameter in parameters:
            assert parameter["description"], asked
            assert parameter["in"] != "path" or parameter["schema"]["pattern"], asked
        assert ("requestBody" in operation) <= (method in ("post", "put")), asked
        assert "default" not in operation["responses"], asked
        for status, given in operation["responses"].items():
            response = resolved(given)
            assert response["description"], asked
            if int(status) < 400 and status not in ("204", "206", "304"):
                (*_, content) = response["content"].values()
                assert content["schema"], asked
            elif status not in ("204", "206", "304") and path != "/readyz":
                assert set(response["content"]) == {PROBLEM_JSON}, asked


def test_every_example_fits_its_schema() -> None:
    shown = 0
    for method, path, operation in _sent():
        contents = [operation.get("requestBody", {}).get("content", {})]
        contents += [resolved(one).get("content", {}) for one in operation["responses"].values()]
        for media, content in (pair for one in contents for pair in one.items()):
            values = [one["value"] for one in content.get("examples", {}).values()]
            values += [content["example"]] if "example" in content else []
            schema = {**content["schema"], "components": described()["components"]}
            validator = jsonschema_rs.Draft202012Validator(schema, validate_formats=True)
            for value in values:
                shown += 1
                found = [error.message for error in validator.iter_errors(value)]
                assert not found, f"{method} {path} {media}: {found}"
    assert shown > 200


def test_every_answer_of_json_has_an_example() -> None:
    for method, path, operation in _operations():
        for given in operation["responses"].values():
            for media, content in resolved(given).get("content", {}).items():
                if media.endswith(("json", "jsonl")):
                    assert content.keys() & {"example", "examples"}, f"{method} {path} {media}"


def test_no_code_of_an_error_that_a_request_may_meet_is_left_out() -> None:
    told = {
        code
        for response in described()["components"]["responses"].values()
        for code in response["content"][PROBLEM_JSON]["examples"]
    }
    # Of jobs, of images in batches and of programs that start: no request is answered with them.
    others = {
        *("error", "damaged_member", "unreadable", "not_an_image", "truncated", "too_many_pixels"),
        *("too_costly", "file_too_large", "upload_gone", "freeze_failed", "newer_request"),
        *("bad_source", "bad_examples", "unknown_node", "verification_failed", "bad_setting"),
    }
    codes = {
        error.code
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, PermafrostError)
    }
    assert codes - told == others


def test_the_document_says_where_the_server_is_reached(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/openapi.json").get_json() == json.loads(json.dumps(described()))


# -- answers ----------------------------------------------------------------------------------


def _job(kind: Kind, status: Status, **fields: Any) -> Job:
    ended = status in (Status.SUCCEEDED, Status.FAILED)
    example = getattr(examples, kind.name).model_dump(mode="json")
    return Job(
        id="01m83js4vgje9pmv1qhxyas5j2",
        kind=kind,
        status=status,
        model=(
            None
            if kind in (Kind.FREEZE, Kind.INSPECTION)
            else PinnedModel(name="cats-dogs", version=1, sha256="ab" * 32, basis="assumed")
        ),
        created_ms=1,
        started_ms=2 if status is not Status.QUEUED else None,
        finished_ms=3 if ended else None,
        expires_ms=4 if ended else None,
        progress=JobProgress(total=1, succeeded=int(ended), failed=0),
        attempts=1,
        result=example["result"] if status is Status.SUCCEEDED else None,
        error={"code": "truncated", "message": "It is."} if status is Status.FAILED else None,
        options=OPTIONS,
        **fields,
    )


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("status", Status)
def test_a_job_of_every_kind_is_answered_as_the_document_says(kind: Kind, status: Status) -> None:
    webhook = WebhookState(url="https://example.com", state="pending", next_attempt_ms=5)
    log = [LogLine.of_step("freezing", 1, 2)]
    for shown in (
        job_answer(_job(kind, status)),
        job_answer(
            _job(kind, status, owner="4f1d0c2b9a8e", webhook=webhook), labels={"cat": 1}, log=log
        ),
    ):
        body = as_text(shown).encode()
        headers = {"Content-Type": "application/json"}
        check("GET", "/v1/jobs/01m83js4vgje9pmv1qhxyas5j2", 200, headers, body)
        assert as_json(Answered.model_validate_json(body)) == as_json(shown)  # as a client reads it


def test_an_answer_that_is_wrong_is_noticed() -> None:
    path, headers = "/v1/jobs/01m83js4vgje9pmv1qhxyas5j2", {"Content-Type": "application/json"}
    shown = as_json(job_answer(_job(Kind.PREDICTION, Status.SUCCEEDED)))
    for wrong in (
        {**shown, "attempts": "1"},
        {**shown, "created_at": "yesterday"},
        {name: value for name, value in shown.items() if name != "links"},
    ):
        with pytest.raises(AssertionError):
            check("GET", path, 200, headers, json.dumps(wrong).encode())
    with pytest.raises(AssertionError):
        check("GET", path, 201, headers, json.dumps(shown).encode())
    problem = {"type": "about:blank", "title": "", "status": 404, "detail": "", "code": "conflict"}
    with pytest.raises(AssertionError):
        check("GET", path, 404, {"Content-Type": PROBLEM_JSON}, json.dumps(problem).encode())


# -- the house --------------------------------------------------------------------------------


def test_the_contract_needs_nothing_but_pydantic(tmp_path: Path) -> None:
    modules = [
        f"worker.contract.{path.stem}" for path in sorted((ROOT / "worker/contract").glob("*.py"))
    ]
    program = f"import sys, {', '.join(modules)}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "pydantic" in loaded
    heavy = {"flask", "redis", "celery", "numpy", "PIL", "psutil", "structlog", "api"}
    assert not loaded & heavy

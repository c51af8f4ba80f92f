"""The command line in this process, and a made-up server for it that knows no batches."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from api.cli import app
from tests.support.batch_server import named, problem, summary, ulid

JPEG = b"\xff\xd8\xff\xe0"
FILES = ("photos/a.jpg", "photos/b.jpg", "photos/sub/c.png")  # of the fixture `photos`

Job = dict[str, Any]


def job(name: str = "j1", status: str = "succeeded", **fields: Any) -> Job:
    """Return a job as the contract shows it, with an id that begins with `name`."""
    self_url = f"/v1/jobs/{ulid(name)}"
    return {
        "id": ulid(name),
        "kind": "prediction",
        "status": status,
        "model": {"name": "pets", "version": 2, "sha256": "ab" * 32},
        "created_at": "2026-11-23T06:00:00.000Z",
        "started_at": "2026-11-23T06:00:01.000Z",
        "finished_at": "2026-11-23T06:00:03.500Z",
        "expires_at": "2026-11-24T06:00:03.500Z",
        "progress": {"total": 1, "succeeded": 1, "failed": 0},
        "result": None,
        "error": None,
        "attempts": 1,
        "links": {"self": self_url, "results": None, "events": f"{self_url}/events"},
        **fields,
    }


def version(number: int) -> dict[str, Any]:
    """Return a version of the model pets."""
    return {
        "name": "pets",
        "version": number,
        "sha256": f"{number:064x}",
        "bytes": 8_500_000,
        "created_at": "2026-11-22T06:00:00Z",
        "labels": ["cat", "dog"],
        "inputs": [{"name": "x:0", "shape": [None, 96, 96, 3], "dtype": "float32"}],
        "outputs": [{"name": "y_pred:0", "shape": [None, 2], "dtype": "float32"}],
        "preprocessing": {
            "size": [96, 96],
            "resize": "stretch",
            "color": "rgb",
            "layout": "NHWC",
            "scale": 1 / 255,
            "mean": [0.0],
            "std": [1.0],
            "filter": "bilinear",
        },
        "scores": "probabilities",
        "runtime": "tensorflow",
        "assumption": None,
        "choices": [],
        "state": "published",
        "set_aside": None,
    }


VERIFIED = {
    "samples": 8,
    "tolerance": 1e-5,
    "max_abs_difference": 1.2e-7,
    "max_relative_difference": 1.2e-7,
    "top1_agreement": 1.0,
    "outputs": [],
}
FROZEN = {
    "model": "pets",
    "version": 3,
    "sha256": "cd" * 32,
    "bytes_before": 25_600_000,
    "bytes_after": 8_500_000,
    "nodes_before": 401,
    "nodes_after": 41,
    "parameters": 896 + 2_050,
    "layers": [
        {"name": "conv1/kernel", "shape": [3, 3, 3, 32], "parameters": 864},
        {"name": "conv1/bias", "shape": [32], "parameters": 32},
        {"name": "dense", "shape": [1024, 2], "parameters": 2_050},
    ],
    "removed": {"gradients": 300, "optimizer_slots": 60, "assertions": 0},
    "inputs": [{"name": "x:0", "shape": [None, 96, 96, 3], "dtype": "float32"}],
    "outputs": [{"name": "y_pred:0", "shape": [None, 2], "dtype": "float32"}],
    "optimised": {"folded_constants": 7, "batch_norms": 3, "nodes_before": 62, "nodes_after": 41},
    "batch": {"source": 1, "served": None},
    "audit": {
        "verdict": "allowed",
        "allow_list": "2026-11-24",
        "ops": {"Conv2D": 3, "Relu": 3},
        "functions": 0,
    },
    "verification": VERIFIED,
    "runtime": "tensorflow",
    "accelerated": None,
    "examples": None,
    "warnings": ["The placeholder keep_prob was set to 1.0."],
    "preprocessing": None,
    "basis": None,
    "choices": [],
    "classifies": True,
}


@dataclass
class Server:
    """A server in this process: what it knows, and what it was asked."""

    models: dict[str, dict[str, Any]] = field(default_factory=dict)
    jobs: dict[str, list[Job]] = field(default_factory=dict)  # what each reading gives in turn
    workers: list[dict[str, Any]] = field(default_factory=list)
    classify: Callable[[bytes], Job | httpx.Response] = field(default_factory=lambda: predicted)
    submitted: Job = field(default_factory=lambda: job("f1", "queued", kind="freeze"))
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        return self.answer(request)

    def answer(self, request: httpx.Request) -> httpx.Response:  # noqa: C901, PLR0911, PLR0912 - one a route
        path = request.url.path
        match request.method, named(path):
            case "GET", ["models"]:
                found = [summary(self._model(name)) for name in self.models]
                return httpx.Response(200, json={"models": found})
            case "GET", ["models", name] if name in self.models:
                return httpx.Response(200, json=self._model(name))
            case "PUT" | "DELETE" as method, ["models", name, _, which] if name in self.models:
                return self._change(method, name, which, request)
            case "POST", ["models", name, "versions"] if name in self.models:
                return httpx.Response(201, json=version(4))
            case "GET", ["models", name]:
                return problem(404, "model_not_found", f"There is no model '{name}'.")
            case "POST", ["predictions"]:
                outcome = self.classify(request.content)
                if isinstance(outcome, httpx.Response):
                    return outcome
                return httpx.Response(200, json=outcome)
            case "POST", ["inspections"]:
                queued = job("n1", "queued", kind="inspection", model=None)
                return httpx.Response(202, json=queued)
            case "POST", ["freezes" | "comparisons"]:
                return httpx.Response(202, json=self.submitted)
            case "GET", ["jobs"]:
                newest = [states[-1] for states in self.jobs.values()]
                return httpx.Response(200, json={"jobs": newest, "next": None})
            case "GET", ["jobs", job_id] if job_id in self.jobs:
                states = self.jobs[job_id]
                return httpx.Response(200, json=states.pop(0) if len(states) > 1 else states[0])
            case "DELETE", ["jobs", job_id] if job_id in self.jobs:
                return httpx.Response(200, json={**self.jobs[job_id][-1], "status": "cancelled"})
            case "GET", ["workers"]:
                return httpx.Response(200, json={"workers": self.workers})
        return problem(404, "not_found", "There is no such job.")

    def _change(self, method: str, name: str, which: str, request: httpx.Request) -> httpx.Response:
        """Move an alias or retire a version."""
        aliases = self.models[name]["aliases"]
        if method == "PUT":
            aliases[which] = json.loads(request.content)["version"]
        elif int(which) in aliases.values():
            return problem(409, "conflict", "An alias means it: move that first.")
        return httpx.Response(200, json={**summary(self._model(name)), "moved": {}})

    def _model(self, name: str) -> dict[str, Any]:
        return {"name": name, "damaged": [], **self.models[name]}

    def sent(self) -> dict[str, Any]:
        """Return the JSON of the last submission, or its form field `options`."""
        text = self.requests_to("/v1/freezes")[-1].content
        found = text if text.startswith(b"{") else re.findall(rb"\r\n\r\n(\{.*\})\r\n--", text)[0]
        options: dict[str, Any] = json.loads(found)
        return options

    def requests_to(self, path: str) -> list[httpx.Request]:
        return [request for request in self.requests if request.url.path == path]


def predicted(image: bytes) -> Job:
    """Return the job of an image whose bytes end with its label; `bad` fails."""
    label = image.removeprefix(JPEG).decode() or "cat"
    if label == "bad":
        error = {"code": "truncated", "message": "The image is cut off before its last pixel."}
        return job(status="failed", error=error)
    scores = [{"label": label, "score": 0.97}, {"label": "other", "score": 0.03}]
    return job(result={"predictions": scores})


def answer_with(monkeypatch: pytest.MonkeyPatch, server: Callable[[httpx.Request], Any]) -> None:
    """Let a made-up server answer whatever this process sends over HTTP."""
    monkeypatch.setattr(
        httpx.HTTPTransport, "handle_request", lambda _, request: server(request), raising=True
    )


def run(*arguments: str | Path, stdin: bytes | None = None, **environment: str) -> Result:
    found = CliRunner().invoke(
        app, [str(argument) for argument in arguments], input=stdin, env=environment
    )
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found


def rows(found: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in found.stdout.splitlines()]

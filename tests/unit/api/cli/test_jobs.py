"""`jobs`, `cancel`, `models` and `workers` against a server that is made up."""

import json
import re

import httpx
import pytest

from tests.support.batch_server import ulid
from tests.support.command_line import FROZEN, JPEG, Server, job, predicted, run

PUBLISHED = {"name": "pets", "version": 3, "sha256": "cd" * 32}


def test_jobs_are_listed_with_their_state(server: Server) -> None:
    server.jobs = {
        "j1": [job()],
        "j2": [job("j2", "failed", kind="freeze", model=None)],
        "j3": [job("j3", kind="freeze", model=PUBLISHED, result=FROZEN)],
    }
    found = run("jobs", "--kind", "freeze", "--status", "failed", "--limit", "7")
    assert found.exit_code == 0
    assert re.search(r"^j1z+\s+prediction\s+succeeded\s+pets@2\s+1/1", found.stdout, re.MULTILINE)
    assert re.search(r"^j3z+\s+freeze\s+succeeded\s+pets@3", found.stdout, re.MULTILINE)
    assert re.search(r"^j2z+\s+freeze\s+failed\s+-", found.stdout, re.MULTILINE)
    asked = dict(server.requests[0].url.params)
    assert asked == {"kind": "freeze", "status": "failed", "limit": "7"}


def test_a_result_of_an_earlier_version_does_not_hide_the_other_jobs(server: Server) -> None:
    earlier = {"model": "pets", "version": 3, "sha256": "cd" * 32}
    server.jobs = {
        "j1": [job()],
        "j2": [job("j2", kind="freeze", model=PUBLISHED, result=earlier)],
    }
    found = run("jobs")
    assert found.exit_code == 0
    assert re.search(r"^j2z+\s+freeze\s+succeeded\s+pets@3", found.stdout, re.MULTILINE)
    listed = json.loads(run("jobs", "--json").stdout)
    assert listed == {"jobs": [states[-1] for states in server.jobs.values()], "next": None}


def test_the_json_of_every_list_is_what_the_server_sent(server: Server) -> None:
    for command, path in (("models", "models"), ("workers", "workers")):
        found = json.loads(run(command, "--json").stdout)
        asked = server.answer(httpx.Request("GET", f"http://x/v1/{path}"))
        assert found == asked.json()


def test_jobs_beyond_one_page_are_fetched(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        cursor = int(request.url.params.get("cursor", "0"))
        page = [job(f"j{cursor}"), job(f"j{cursor + 1}")]
        return httpx.Response(200, json={"jobs": page, "next": str(cursor + 2)})

    monkeypatch.setattr(server, "answer", answer)
    found = json.loads(run("jobs", "--limit", "5", "--json").stdout)
    assert [entry["id"] for entry in found["jobs"]] == [ulid(f"j{number}") for number in range(5)]
    assert found["next"] == "6"


def test_one_job_is_shown_in_full(server: Server) -> None:
    server.jobs["f1"] = [job("f1", kind="freeze", result=FROZEN, log=["Reading."])]
    found = run("jobs", "f1")
    assert found.exit_code == 0
    for words in ("freeze", "pets@2", "2.5 s", "Reading.", "25.6 MB -> 8.5 MB"):
        assert words in found.stdout
    server.jobs["p1"] = [predicted(JPEG + b"dog")]
    assert re.search(r"^dog\s+97\.0%$", run("jobs", "p1").stdout, re.MULTILINE)
    put_back = {"at": "2026-11-23T06:00:02.000Z", "reason": "worker w1 died."}
    server.jobs["p3"] = [job("p3", requeued=put_back)]
    found = run("jobs", "p3")
    assert re.search(
        r"last put back +2026-11-23T06:00:02.*worker\s+w1\s+died", found.stdout, re.DOTALL
    )
    server.jobs["p2"] = [predicted(JPEG + b"bad")]
    assert "truncated: The image is cut off" in run("jobs", "p2").stdout


def test_a_failed_job_is_exit_code_1_only_for_who_waits_for_it(server: Server) -> None:
    server.jobs["p2"] = [predicted(JPEG + b"bad")]
    assert run("jobs", "p2").exit_code == 0
    found = run("jobs", "p2", "--wait")
    assert found.exit_code == 1
    assert "The image is cut off" in found.stderr


def test_cancelling_says_what_became_of_the_job(server: Server) -> None:
    server.jobs["j1"] = [job()]
    found = run("cancel", "j1")
    assert (found.exit_code, found.stdout) == (0, "")
    assert f"Job {ulid('j1')} is cancelled." in found.stderr
    assert json.loads(run("cancel", "j1", "--json").stdout)["status"] == "cancelled"


def test_an_alias_is_moved_and_then_a_version_retired(server: Server) -> None:
    found = run("models", "pets", "--retire", "2", "--alias", "stable=3", "--alias", "beta=1")
    assert found.exit_code == 0
    assert re.search(r"aliases\s+beta 1, canary 3, stable 3", found.stdout)
    changes = [(r.method, r.url.path) for r in server.requests if r.method != "GET"]
    assert changes == [
        ("PUT", "/v1/models/pets/aliases/stable"),
        ("PUT", "/v1/models/pets/aliases/beta"),
        ("DELETE", "/v1/models/pets/versions/2"),
    ]


def test_a_model_that_takes_no_images_says_so(server: Server) -> None:
    only = server.models["pets"]["versions"][0]
    accelerated = {"format": "onnx", "sha256": "ef" * 32, "bytes": 8_600_000}
    only |= {"preprocessing": None, "scores": None}
    only |= {"runtime": "onnxruntime", "accelerated": accelerated}
    found = run("models", "pets")
    assert re.search(r"preprocessing\s+none: no images", found.stdout)
    assert re.search(r"scores\s+none", found.stdout)
    assert re.search(r"runtime\s+onnxruntime", found.stdout)


def test_a_version_that_is_still_meant_is_not_retired(server: Server) -> None:
    found = run("models", "pets", "--retire", "2")
    assert (found.exit_code, found.stdout) == (1, "")
    assert "An alias means it" in found.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["pets", "--alias", "stable"],
        ["pets", "--alias", "=2"],
        ["pets", "--alias", "stable=two"],
        ["--alias", "stable=2"],
        ["--retire", "2"],
        ["pets", "--retire", "0"],
        ["--preprocessing", "raw", "--alias", "stable=2"],
        ["pets", "--preprocessing", "raw", "--alias", "a", "--alias", "b"],
    ],
)
def test_wrong_changes_of_a_model_are_exit_code_2(server: Server, arguments: list[str]) -> None:
    found = run("models", *arguments)
    assert found.exit_code == 2
    assert "--alias" in found.stderr or "--retire" in found.stderr
    assert not server.requests


ASSUMED = {
    "basis": {
        "kind": "assumed",
        "fields": {"scaling": "read", "color": "assumed"},
        "reasons": ["the graph scales pixels itself"],
    },
    "assumption": "How pets prepares images is assumed. Type `./permafrost models pets`.",
    "choices": [
        {
            "preprocessing": {"color": "bgr"},
            "reason": "it reads images with OpenCV",
            "command": './permafrost models pets@2 --preprocessing \'{"color": "bgr"}\'',
        }
    ],
}


def test_what_may_be_meant_is_shown_with_its_command(server: Server) -> None:
    server.models["pets"]["versions"][0] |= ASSUMED
    shown = run("models", "pets").stdout
    assert re.search(r"basis\s+assumed: scaling read, color assumed", shown)
    assert "If it reads images with OpenCV:\n" in shown
    assert '  ./permafrost models pets@2 --preprocessing \'{"color": "bgr"}\'' in shown


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        (["pets", "--preprocessing", "raw"], {"preprocessing": {"preset": "raw"}}),
        (
            ["pets@canary", "--preprocessing", '{"color": "bgr"}', "--alias", "beta"],
            {"from": "canary", "preprocessing": {"color": "bgr"}, "alias": "beta"},
        ),
        (["pets@2", "--scores", "logits"], {"from": "2", "scores": "logits"}),
    ],
)
def test_a_version_is_published_again_as_it_is_said(
    server: Server, arguments: list[str], sent: dict[str, object]
) -> None:
    found = run("models", *arguments)
    assert (found.exit_code, "Published as pets@4." in found.stderr) == (0, True)
    (request,) = server.requests_to("/v1/models/pets/versions")
    expected = {"from": "stable", "alias": "stable", **sent}
    assert json.loads(request.content) == expected
    assert json.loads(run("models", *arguments, "--json").stdout)["published"] == 4


def test_models_are_listed_with_aliases_versions_and_labels(server: Server) -> None:
    found = run("models")
    assert re.search(r"^pets\s+canary 3, stable 2\s+1\s+8\.5 MB\s+2", found.stdout, re.MULTILINE)
    server.models["pets"]["versions"][0]["labels"] = [f"label {number}" for number in range(1000)]
    assert "1,000" in run("models").stdout
    assert "label 0, label 1, " in (shown := run("models", "pets").stdout)
    assert " and 992 more" in shown
    found = run("models", "pets")
    prepared = "rgb, stretch to 96x96 (bilinear), NHWC, value ÷ 255"
    for words in ("2 stable", "x:0 [?, 96, 96, 3] float32", "probabilities", prepared):
        assert words in found.stdout


def test_workers_are_listed_with_the_graphs_they_loaded(server: Server) -> None:
    graph = {
        "model": "pets",
        "version": 2,
        "sha256": "ab" * 32,
        "state": "ready",
        "loads": 1,
        "load_seconds": 0.421,
        "bytes": 8_500_000,
        "runtime": "tensorflow",
        "error": None,
    }
    broken = {**graph, "version": 3, "state": "failed", "error": "The graph is damaged."}
    server.workers = [
        {
            "id": "w",
            "pid": 4242,
            "host": "h",
            "state": "ready",
            "queues": ["interactive", "bulk"],
            "graphs": [graph, broken],
            "memory_bytes": 650_000_000,
            "items": 1234,
            "confinement": None,
            "started_at": "2026-11-23T06:00:00.000Z",
            "seen_at": "2026-11-23T06:00:01.000Z",
        }
    ]
    found = run("workers")
    row = (
        r"^4242\s+h\s+ready\s+interactive, bulk\s+pets@2 loads: 1 \(0\.42 s\); pets@3 .* 650\.0 MB"
    )
    assert re.search(row, found.stdout, re.MULTILINE)
    assert "failed: The graph is damaged." in found.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["jobs"], "There are no such jobs."),
        (["models"], "There are no models yet"),
        (["workers"], "No worker reports"),
    ],
)
def test_where_there_is_nothing_a_sentence_says_so(
    server: Server, arguments: list[str], words: str
) -> None:
    server.models.clear()
    found = run(*arguments)
    assert (found.exit_code, found.stdout) == (0, "")
    assert words in found.stderr

"""The client commands against a server that is made up: exit codes, tables, and JSON."""

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
from tests.support.inspected import INSPECTED

JPEG = b"\xff\xd8\xff\xe0"
FILES = ("photos/a.jpg", "photos/b.jpg", "photos/sub/c.png")  # of the fixture `photos`

Job = dict[str, Any]


def job(job_id: str = "j1", status: str = "succeeded", **fields: Any) -> Job:
    """Return a job as the contract shows it."""
    return {
        "id": job_id,
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
        "links": {"self": f"/v1/jobs/{job_id}", "results": None, "events": None},
        **fields,
    }


def version(number: int) -> dict[str, Any]:
    return {
        "version": number,
        "sha256": f"{number:064x}",
        "bytes": 8_500_000,
        "created_at": "2026-11-22T06:00:00Z",
        "labels": ["cat", "dog"],
        "inputs": [{"name": "x:0", "shape": [None, 96, 96, 3], "dtype": "float32"}],
        "outputs": [{"name": "y_pred:0", "shape": [None, 2], "dtype": "float32"}],
        "preprocessing": {"size": [96, 96], "color": "rgb"},
        "scores": "probabilities",
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
    "outputs": ["y_pred:0"],
    "optimised": {"folded_constants": 7, "batch_norms": 3, "nodes_before": 62, "nodes_after": 41},
    "batch": {"source": 1, "served": None},
    "audit": {"verdict": "allowed", "allow_list": "2026-11-24", "ops": {"Conv2D": 3, "Relu": 3}},
    "verification": {"samples": 8, "max_abs_difference": 1.2e-7, "top1_agreement": 1.0},
    "warnings": ["The placeholder keep_prob was set to 1.0."],
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

    def answer(self, request: httpx.Request) -> httpx.Response:  # noqa: PLR0911 - one a route
        path = request.url.path
        match request.method, path.strip("/").split("/")[1:]:
            case "GET", ["models"]:
                found = [self._model(name) for name in self.models]
                return httpx.Response(200, json={"models": found})
            case "GET", ["models", name] if name in self.models:
                return httpx.Response(200, json=self._model(name))
            case "PUT" | "DELETE" as method, ["models", name, _, which] if name in self.models:
                return self._change(method, name, which, request)
            case "GET", ["models", name]:
                return problem(404, "model_not_found", f"There is no model '{name}'.")
            case "POST", ["predictions"]:
                outcome = self.classify(request.content)
                if isinstance(outcome, httpx.Response):
                    return outcome
                return httpx.Response(200, json=outcome)
            case "POST", ["freezes" | "inspections"]:
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
        return httpx.Response(200, json=self._model(name))

    def _model(self, name: str) -> dict[str, Any]:
        return {"name": name, **self.models[name]}

    def sent(self) -> dict[str, Any]:
        """Return the JSON of the last submission, or its form field `options`."""
        text = self.requests_to("/v1/freezes")[-1].content
        found = text if text.startswith(b"{") else re.findall(rb"\r\n\r\n(\{.*\})\r\n--", text)[0]
        options: dict[str, Any] = json.loads(found)
        return options

    def requests_to(self, path: str) -> list[httpx.Request]:
        return [request for request in self.requests if request.url.path == path]


def problem(status: int, code: str, detail: str) -> httpx.Response:
    return httpx.Response(
        status,
        content=json.dumps({"status": status, "code": code, "detail": detail}),
        headers={"content-type": "application/problem+json"},
    )


def predicted(image: bytes) -> Job:
    """Return the job of an image whose bytes end with its label; `bad` fails."""
    label = image.removeprefix(JPEG).decode() or "cat"
    if label == "bad":
        error = {"code": "truncated", "message": "The image is cut off before its last pixel."}
        return job(status="failed", error=error)
    scores = [{"label": label, "score": 0.97}, {"label": "other", "score": 0.03}]
    return job(result={"predictions": scores})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    made = Server(
        models={"pets": {"aliases": {"stable": 2, "canary": 3}, "versions": [version(2)]}}
    )
    monkeypatch.setattr(
        httpx.HTTPTransport, "handle_request", lambda _, request: made(request), raising=True
    )
    return made


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with `photos/a.jpg`, `b.jpg`, `sub/c.png` and a text file."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(JPEG + b"cat")
    (folder / "b.jpg").write_bytes(JPEG + b"dog")
    (folder / "sub" / "c.png").write_bytes(JPEG + b"cat")
    (folder / "notes.txt").write_text("no image")
    return folder


def run(*arguments: str | Path, **environment: str) -> Result:
    found = CliRunner().invoke(app, [str(argument) for argument in arguments], env=environment)
    assert found.exception is None or isinstance(found.exception, SystemExit), found.exception
    return found


def rows(found: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in found.stdout.splitlines()]


# -- classify -----------------------------------------------------------------------------------


def test_one_photograph_gives_its_ranked_labels(server: Server, photos: Path) -> None:
    found = run("classify", "photos/a.jpg", "--model", "pets", "--top", "3")
    assert found.exit_code == 0
    assert re.search(r"cat\s+97\.0%\s+other\s+3\.0%", found.stdout)
    asked = server.requests_to("/v1/predictions")[0]
    assert dict(asked.url.params) == {"model": "pets@2", "top": "3"}


def test_a_few_photographs_give_a_table_in_order(server: Server, photos: Path) -> None:
    found = run("classify", *FILES, "--model", "pets")
    assert found.exit_code == 0
    assert re.findall(r"^photos/\S+", found.stdout, re.MULTILINE) == list(FILES)
    assert "3 classified, 0 failed." in found.stderr


@pytest.mark.parametrize("order", ["before", "after"])
def test_json_lines_are_the_rows_in_order_and_all_there_is(
    server: Server, photos: Path, order: str
) -> None:
    (photos / "b.jpg").write_bytes(JPEG + b"bad")
    options = ["--json", "--model", "pets"]
    found = run(
        "classify",
        *(options if order == "before" else []),
        *FILES,
        *(options if order == "after" else []),
    )
    assert found.exit_code == 1
    assert [list(row) for row in rows(found)] == [
        ["path", "status", "label", "score", "predictions", "error", "model", "version", "sha256"]
    ] * 3
    first, second, third = rows(found)
    assert (first["path"], first["status"], first["label"]) == ("photos/a.jpg", "succeeded", "cat")
    assert first["score"] == first["predictions"][0]["score"] == 0.97
    assert (second["status"], second["label"], second["predictions"]) == ("failed", None, None)
    assert second["error"]["code"] == "truncated"
    assert third["path"] == "photos/sub/c.png"
    assert (third["model"], third["version"], third["sha256"]) == ("pets", 2, "ab" * 32)


def test_one_bad_file_costs_one_row_and_the_exit_code(server: Server, photos: Path) -> None:
    (photos / "b.jpg").write_bytes(JPEG + b"bad")
    found = run("classify", *FILES, "--model", "pets", "--output", "out.csv")
    assert found.exit_code == 1
    assert "2 classified, 1 failed" in found.stderr
    lines = Path("out.csv").read_text().splitlines()
    assert lines[0] == "path,status,label,score,predictions,error,model,version,sha256"
    assert lines[2] == (
        "photos/b.jpg,failed,,,,truncated: The image is cut off before its last pixel.,"
        f"pets,2,{'ab' * 32}"
    )
    assert len(lines) == 4


def test_one_photograph_that_fails_says_why(server: Server, photos: Path) -> None:
    (photos / "a.jpg").write_bytes(JPEG + b"bad")
    found = run("classify", "photos/a.jpg", "--model", "pets")
    assert found.exit_code == 1
    assert "photos/a.jpg: The image is cut off before its last pixel." in found.stderr


def test_a_refused_image_costs_only_its_own_row(server: Server, photos: Path) -> None:
    def classify(image: bytes) -> Job | httpx.Response:
        if image.endswith(b"dog"):
            return problem(413, "too_large", "The image is too large.")
        return predicted(image)

    server.classify = classify
    found = run("classify", *FILES, "--json")
    assert found.exit_code == 1
    assert [row["status"] for row in rows(found)] == ["succeeded", "failed", "succeeded"]
    assert rows(found)[1]["error"] == {"code": "too_large", "message": "The image is too large."}


def test_a_connection_that_one_image_breaks_costs_only_its_own_row(
    server: Server, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.client.waits._FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr("api.client.waits._LATER_PAUSE_S", 0.001)

    def classify(image: bytes) -> Job:
        if image.endswith(b"dog"):
            raise httpx.ReadError("reset")
        return predicted(image)

    server.classify = classify
    found = run("classify", *FILES, "--json")
    assert found.exit_code == 1
    assert [row["status"] for row in rows(found)] == ["succeeded", "failed", "succeeded"]
    assert rows(found)[1]["error"]["code"] == "connection_lost"


def test_an_image_that_waits_in_the_queue_is_followed(server: Server, photos: Path) -> None:
    server.classify = lambda _: job("q", "queued")
    server.jobs["q"] = [predicted(JPEG + b"dog")]
    found = run("classify", "photos/a.jpg", "--json")
    assert (found.exit_code, rows(found)[0]["label"]) == (0, "dog")


def test_a_file_that_cannot_be_sent_is_a_row(
    server: Server, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (photos / "b.jpg").write_bytes(b"")
    real = Path.open

    def refuse(path: Path, *arguments: Any, **options: Any) -> object:
        if path.name == "c.png":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    found = run("classify", *FILES, "--json")
    assert found.exit_code == 1
    assert [row["error"] and row["error"]["message"] for row in rows(found)] == [
        None,
        "The file is empty.",
        "photos/sub/c.png cannot be read: Permission denied.",
    ]


def test_a_cancelled_job_is_a_row_of_its_own_kind(server: Server, photos: Path) -> None:
    server.classify = lambda _: job(status="cancelled")
    found = run("classify", "photos/a.jpg", "--json")
    assert found.exit_code == 1
    assert (rows(found)[0]["status"], rows(found)[0]["error"]["code"]) == ("cancelled",) * 2


def test_a_named_file_that_is_no_image_is_a_row_without_being_sent(
    server: Server, photos: Path
) -> None:
    found = run("classify", "photos/notes.txt", "photos/a.jpg", "--json")
    assert found.exit_code == 1
    assert [row["error"] and row["error"]["code"] for row in rows(found)] == [
        "unsupported_media",
        None,
    ]
    assert len(server.requests_to("/v1/predictions")) == 1


def test_results_appear_whole_or_not_at_all(server: Server, photos: Path) -> None:
    Path("out.jsonl").write_text("before")
    server.classify = lambda _: problem(404, "model_not_found", "It was retired.")
    found = run("classify", *FILES, "--output", "out.jsonl")
    assert found.exit_code == 1
    assert "It was retired." in found.stderr
    assert Path("out.jsonl").read_text() == "before"
    assert sorted(path.name for path in Path().iterdir()) == ["out.jsonl", "photos"]


def test_a_server_that_goes_away_leaves_a_row_for_every_image(
    server: Server, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.cli.classify._PATIENCE_S", 0.0)
    monkeypatch.setattr("api.cli.classify._AT_ONCE", 1)

    def classify(image: bytes) -> Job:
        if image.endswith(b"dog"):
            raise httpx.ConnectError("refused")
        return predicted(image)

    server.classify = classify
    found = run("classify", *FILES, "--json", "--output", "out.jsonl")
    assert found.exit_code == 3
    assert [row["status"] for row in rows(found)] == ["succeeded", "failed", "failed"]
    assert rows(found)[2]["error"]["code"] == "no_server"
    assert Path("out.jsonl").read_text() == found.stdout
    assert "No Permafrost server answers" in found.stderr


@pytest.mark.parametrize(
    ("asked", "sent"),
    [(None, "pets@2"), ("pets", "pets@2"), ("pets@canary", "pets@3"), ("pets@7", "pets@7")],
)
def test_all_images_go_to_the_version_that_was_meant_at_the_start(
    server: Server, photos: Path, asked: str | None, sent: str
) -> None:
    model = [] if asked is None else ["--model", asked]
    assert run("classify", *FILES, *model).exit_code == 0
    asked_for = {r.url.params["model"] for r in server.requests_to("/v1/predictions")}
    assert asked_for == {sent}


def test_without_a_model_the_choices_are_named(server: Server, photos: Path) -> None:
    server.models["flowers"] = server.models["pets"]
    found = run("classify", *FILES)
    assert found.exit_code == 2
    assert "--model: pets, flowers." in found.stderr
    server.models.clear()
    found = run("classify", *FILES)
    assert found.exit_code == 1
    assert "no model yet" in found.stderr


def test_a_model_that_is_not_there_is_one_sentence_before_anything_is_sent(
    server: Server, photos: Path
) -> None:
    found = run("classify", *FILES, "--model", "birds")
    assert (found.exit_code, found.stdout) == (1, "")
    assert "There is no model 'birds'." in found.stderr
    assert server.requests_to("/v1/predictions") == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.jpg"], "There is no file or folder missing.jpg."),
        (["photos", "missing"], "There is no file or folder missing."),
        (["empty"], "There are no images in empty."),
        (["texts"], "There are no images in texts (1 other file)."),
        (["photos", "--output", "out.txt"], "end it with .csv or .jsonl"),
        (["photos", "--output", "folder.csv"], "is a folder"),
        (["photos", "--output", "nowhere/out.csv"], "nowhere is not there"),
        (["photos", "--top", "0"], "--top"),
        (["photos", "--server", "ftp://host"], "not the URL of a server"),
        ([], "Missing argument"),
        (["photos", "--colour"], "No such option"),
    ],
)
def test_wrong_usage_is_exit_code_2_and_a_sentence(
    server: Server, photos: Path, arguments: list[str], words: str
) -> None:
    for folder in ("empty", "texts", "folder.csv"):
        Path(folder).mkdir()
    Path("texts/a.txt").write_text("text")
    found = run("classify", *arguments)
    assert (found.exit_code, found.stdout) == (2, "")
    assert words in found.stderr
    assert server.requests_to("/v1/predictions") == []


def test_names_that_are_not_text_crash_nothing(server: Server, photos: Path) -> None:
    names = ("caf\udce9.jpg", "=1+1.jpg", "two\nlines.jpg", "\x1b[31mred.jpg", "[b]x.jpg")
    for name in names:
        Path(photos / name).write_bytes(JPEG + b"bad")
    files = [f"photos/{name}" for name in names]
    for output in (["--json"], ["--output", "o.csv"], ["--output", "o.jsonl"], []):
        found = run("classify", *files, *output)
        assert found.exit_code == 1
        assert "\x1b" not in found.stdout
    assert r"photos/caf\xe9.jpg" in found.stdout
    assert "photos/[b]x.jpg" in found.stdout
    paths = [json.loads(line)["path"] for line in Path("o.jsonl").read_text("utf-8").splitlines()]
    assert r"photos/caf\xe9.jpg" in paths
    assert "photos/two\nlines.jpg" in paths
    found = run("classify", "photos/caf\udce9.jpg", "nothing\udce9")
    assert found.exit_code == 2


# -- freeze and inspect -------------------------------------------------------------------------


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with a checkpoint in `model/`."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("m.meta", "m.index", "m.data-00000-of-00001"):
        (folder / name).write_bytes(name.encode())
    (folder / "checkpoint").write_text('model_checkpoint_path: "m"\n')
    return folder


@pytest.fixture
def freezing(server: Server) -> Server:
    """Let the server freeze in three steps."""
    states = [
        job("f1", "running", kind="freeze", log=["Reading."]),
        job("f1", "running", kind="freeze", log=["Reading.", "Freezing."]),
        job("f1", "succeeded", kind="freeze", log=["Reading.", "Freezing."], result=FROZEN),
    ]
    server.jobs["f1"] = states
    return server


def test_a_checkpoint_is_uploaded_followed_and_reported(freezing: Server, checkpoint: Path) -> None:
    found = run("freeze", "model", "--name", "pets")
    assert found.exit_code == 0
    names = re.findall(rb'filename="([^"]+)"', freezing.requests_to("/v1/freezes")[0].content)
    assert names == [b"m.data-00000-of-00001", b"m.index", b"m.meta", b"checkpoint"]
    assert freezing.sent() == {"name": "pets"}
    assert found.stderr.count("Reading.") == found.stderr.count("Freezing.") == 1
    for words in (
        "pets@3 is published",
        "25.6 MB -> 8.5 MB",
        "401 -> 41",
        "300 gradients, 60 optimizer slots",
        "7 constants and 3 batch normalisations folded, 62 -> 41 nodes",
        "freed: any number of images at once, the source took 1",
        "2 kinds of ops, all of them allowed (list 2026-11-24)",
        "largest difference 1.2e-07",
        "Warning: The placeholder keep_prob was set to 1.0.",
        "./permafrost classify photo.jpg --model pets\n",
    ):
        assert words in found.stdout
    assert re.search(r"^conv1\s+kernel 3x3x3x32, bias 32\s+896$", found.stdout, re.MULTILINE)
    assert re.search(r"^all\s+2,946$", found.stdout, re.MULTILINE)


def test_freeze_sends_what_was_asked_for_and_nothing_else(
    freezing: Server, checkpoint: Path
) -> None:
    Path("labels.txt").write_text("0 cat\n1 dog\n")
    Path("prep.json").write_text('{"size": [96, 96], "color": "rgb"}')
    found = run(
        *("freeze", "model/m", "--name", "pets", "--output", "a", "--output", "b:0"),
        *("--input", "x", "--set", "keep_prob=1.0", "--set", "is_training=false"),
        *("--labels", "labels.txt", "--preprocessing", "prep.json", "--scores", "logits"),
        *("--alias", "canary", "--runtime", "onnxruntime", "--server", "http://other:9"),
        *("--no-optimise", "--batch", "free"),
        *("--sample", "prep.json", "--sample", "labels.txt"),
    )
    assert found.exit_code == 0
    sent = freezing.requests_to("/v1/freezes")[-1].content
    assert re.findall(rb'name="samples"; filename="(.*?)"', sent) == [b"prep.json", b"labels.txt"]
    assert freezing.sent() == {
        "name": "pets",
        "inputs": ["x"],
        "outputs": ["a", "b:0"],
        "set": {"keep_prob": 1.0, "is_training": False},
        "labels": ["cat", "dog"],
        "preprocessing": {"size": [96, 96], "color": "rgb"},
        "scores": "logits",
        "alias": "canary",
        "runtime": "onnxruntime",
        "batch": "free",
        "optimise": False,
    }
    assert "--model pets@canary --server http://other:9" in found.stdout


def test_a_freeze_that_left_things_as_they_were_says_so(freezing: Server, checkpoint: Path) -> None:
    kept = {"optimised": None, "batch": {"source": 4, "served": 4}}
    freezing.jobs["f1"][-1]["result"] = FROZEN | kept
    found = run("freeze", "model", "--name", "pets", "--no-optimise")
    assert re.search(r"^optimised\s+no\s*$", found.stdout, re.MULTILINE)
    assert "4 images at once, filled up where there are fewer" in found.stdout


def test_a_freeze_for_onnx_runtime_says_how_that_was_proven(
    freezing: Server, checkpoint: Path
) -> None:
    made = {
        "format": "onnx",
        "bytes": 8_600_000,
        "verification": {"samples": 8, "max_abs_difference": 2.5e-7},
    }
    freezing.jobs["f1"][-1]["result"] = FROZEN | {"runtime": "onnxruntime", "accelerated": made}
    found = run("freeze", "model", "--name", "pets", "--runtime", "onnxruntime")
    said = "onnxruntime: onnx, 8.6 MB, verified on 8 samples, largest difference 2.5e-07"
    assert said in " ".join(found.stdout.split())


def test_a_model_that_cannot_classify_is_not_said_to_be_tried(
    freezing: Server, checkpoint: Path
) -> None:
    freezing.jobs["f1"][-1]["result"] = FROZEN | {"classifies": False}
    found = run("freeze", "model", "--name", "pets")
    assert "pets@3 is published" in found.stdout
    assert "Try it" not in found.stdout


def test_a_source_that_is_not_here_is_named_to_the_server(freezing: Server, tmp_path: Path) -> None:
    found = run("freeze", "trained/m", "--name", "pets")
    assert found.exit_code == 0
    assert freezing.sent() == {"source": "trained/m", "name": "pets"}
    assert "trained/m is not on this machine" in found.stderr


def test_the_json_of_a_freeze_is_its_job(freezing: Server, checkpoint: Path) -> None:
    found = run("freeze", "--json", "model", "--name", "pets")
    assert found.exit_code == 0
    assert json.loads(found.stdout)["result"] == FROZEN
    assert "Reading." in found.stderr


def test_a_failed_freeze_says_why_and_is_exit_code_1(server: Server, checkpoint: Path) -> None:
    error = {"code": "unknown_node", "message": "There is no node 'y'. Did you mean 'y_pred'?"}
    server.jobs["f1"] = [job("f1", "failed", kind="freeze", error=error)]
    found = run("freeze", "model", "--name", "pets", "--output", "y")
    assert (found.exit_code, found.stdout) == (1, "")
    assert "There is no node 'y'. Did you mean 'y_pred'?" in found.stderr
    found = run("freeze", "model", "--name", "pets", "--output", "y", "--json")
    assert found.exit_code == 1
    assert json.loads(found.stdout)["error"] == error


def test_a_cancelled_freeze_is_exit_code_1(server: Server, checkpoint: Path) -> None:
    server.jobs["f1"] = [job("f1", "cancelled", kind="freeze")]
    found = run("freeze", "model", "--name", "pets")
    assert found.exit_code == 1
    assert "The job was cancelled." in found.stderr


def test_ctrl_c_during_a_freeze_says_that_it_goes_on(
    server: Server, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("api.client.Client.wait_for", interrupt)
    found = run("freeze", "model", "--name", "pets")
    assert found.exit_code == 130
    assert "`./permafrost cancel f1` stops it" in found.stderr
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["model"], "--name"),
        (["model", "--name", "x", "--set", "keep_prob"], "takes NODE=VALUE"),
        (["model", "--name", "x", "--set", "a=fast"], "'fast'"),
        (["model", "--name", "x", "--labels", "none.txt"], "none.txt cannot be read"),
        (["model", "--name", "x", "--preprocessing", "none.json"], "none.json cannot be read"),
        (["model", "--name", "x", "--scores", "many"], "--scores"),
        (["./none", "--name", "x"], "There is no file, folder or checkpoint ./none."),
        (["../none", "--name", "x"], "There is no file, folder or checkpoint ../none."),
    ],
)
def test_wrong_usage_of_freeze_is_exit_code_2_and_a_sentence(
    server: Server, checkpoint: Path, arguments: list[str], words: str
) -> None:
    found = run("freeze", *arguments)
    assert (found.exit_code, found.stdout) == (2, "")
    assert words in found.stderr
    assert server.requests == []


def test_what_the_server_calls_invalid_is_wrong_usage_too(
    server: Server, checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = problem(400, "invalid_request", "'a b' is not a model name.")
    monkeypatch.setattr(server, "answer", lambda _: refusal)
    found = run("freeze", "model", "--name", "a b", "--json")
    assert found.exit_code == 2
    assert json.loads(found.stdout)["error"]["code"] == "invalid_request"


def inspecting(server: Server, result: dict[str, Any]) -> None:
    server.submitted = job("i1", "queued", kind="inspection")
    server.jobs["i1"] = [job("i1", kind="inspection", result=result)]


def test_an_inspection_is_reported_and_ends_with_the_freeze_to_make(
    server: Server, checkpoint: Path
) -> None:
    inspecting(server, INSPECTED)
    found = run("inspect", "model")
    assert found.exit_code == 0
    for words in (
        "TensorFlow 1 checkpoint",
        "25.6 MB in 2 files",
        "y_pred:0",
        "float32 [?, 96, 96, 3]",
        "float32, unknown",
        "images = x:0",
        "--set keep_prob=1.0",
        "optimizer slots",
        "about 8.5 MB and 41 nodes",
        "rgb, stretch to 96x96, NHWC, (value * 0.003922 - 0) / 1",
        "Warning: Dropout is on.",
    ):
        assert words in found.stdout, words
    assert "queues" not in found.stdout
    assert "\x1b" not in found.stdout
    last = found.stdout.strip().splitlines()[-1]
    words = "freeze model --name pets --output y_pred --input x --set keep_prob=1.0"
    assert last == f"Freeze it: ./permafrost {words}"
    assert json.loads(run("inspect", "model", "--json").stdout)["result"] == INSPECTED
    assert server.requests[0].url.path == "/v1/inspections"


def test_an_inspection_whose_advice_is_not_ready_says_so(server: Server, checkpoint: Path) -> None:
    advice = {**INSPECTED["freeze"], "ready": False}
    inspecting(server, {**INSPECTED, "freeze": advice})
    assert "Freeze it, once that is settled: " in run("inspect", "model").stdout


def test_a_report_of_another_version_is_shown_as_far_as_it_goes(
    server: Server, checkpoint: Path
) -> None:
    inspecting(server, {"kind": "something", "more": [{"a": 1}]})
    found = run("inspect", "model")
    assert found.exit_code == 0
    assert "something" in found.stdout


def test_a_choice_of_signature_and_checkpoint_is_sent(server: Server, checkpoint: Path) -> None:
    inspecting(server, INSPECTED)
    found = run("inspect", "far/away", "--signature", "serve", "--checkpoint", "m-7")
    assert found.exit_code == 0
    asked = {"source": "far/away", "signature": "serve", "checkpoint": "m-7"}
    assert json.loads(server.requests[0].content) == asked
    assert found.stdout.strip().endswith("--signature serve --checkpoint m-7")
    # Of a folder that is here, only the checkpoint that is meant is sent.
    run("inspect", "model", "--checkpoint", "m")
    sent = server.requests[-2].content + server.requests[-1].content
    assert b'filename="m.meta"' in sent
    assert b'"checkpoint": ' not in sent


# -- jobs, models, workers ----------------------------------------------------------------------


def test_jobs_are_listed_with_their_state(server: Server) -> None:
    server.jobs = {
        "j1": [job()],
        "j2": [job("j2", "failed", kind="freeze", model=None)],
        "j3": [job("j3", kind="freeze", model=None, result=FROZEN)],
    }
    found = run("jobs", "--kind", "freeze", "--status", "failed", "--limit", "7")
    assert found.exit_code == 0
    assert re.search(r"^j1\s+prediction\s+succeeded\s+pets@2\s+1/1", found.stdout, re.MULTILINE)
    assert re.search(r"^j3\s+freeze\s+succeeded\s+pets@3", found.stdout, re.MULTILINE)
    assert re.search(r"^j2\s+freeze\s+failed\s+-", found.stdout, re.MULTILINE)
    asked = dict(server.requests[0].url.params)
    assert asked == {"kind": "freeze", "status": "failed", "limit": "7"}


def test_jobs_beyond_one_page_are_fetched(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        cursor = int(request.url.params.get("cursor", "0"))
        page = [job(f"j{cursor}"), job(f"j{cursor + 1}")]
        return httpx.Response(200, json={"jobs": page, "next": str(cursor + 2)})

    monkeypatch.setattr(server, "answer", answer)
    found = json.loads(run("jobs", "--limit", "5", "--json").stdout)
    assert [entry["id"] for entry in found["jobs"]] == ["j0", "j1", "j2", "j3", "j4"]
    assert found["next"] == "6"


def test_one_job_is_shown_in_full(server: Server) -> None:
    server.jobs["f1"] = [job("f1", kind="freeze", result=FROZEN, log=["Reading."])]
    found = run("jobs", "f1")
    assert found.exit_code == 0
    for words in ("freeze", "pets@2", "2.5 s", "Reading.", "25.6 MB -> 8.5 MB"):
        assert words in found.stdout
    server.jobs["p1"] = [predicted(JPEG + b"dog")]
    assert re.search(r"^dog\s+97\.0%$", run("jobs", "p1").stdout, re.MULTILINE)
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
    assert "Job j1 is cancelled." in found.stderr
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
    only |= {"preprocessing": None, "scores": None, "runtime": "onnxruntime"}
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
    ],
)
def test_wrong_changes_of_a_model_are_exit_code_2(server: Server, arguments: list[str]) -> None:
    found = run("models", *arguments)
    assert found.exit_code == 2
    assert "--alias" in found.stderr or "--retire" in found.stderr
    assert not server.requests


def test_models_are_listed_with_aliases_versions_and_labels(server: Server) -> None:
    found = run("models")
    assert re.search(
        r"^pets\s+canary 3, stable 2\s+1\s+8\.5 MB\s+cat, dog", found.stdout, re.MULTILINE
    )
    server.models["pets"]["versions"][0]["labels"] = 1000
    assert "1,000" in run("models").stdout
    found = run("models", "pets")
    for words in ("2 stable", "x:0 [?, 96, 96, 3] float32", "probabilities"):
        assert words in found.stdout


def test_workers_are_listed_with_the_graphs_they_loaded(server: Server) -> None:
    graph = {"model": "pets", "version": 2, "loads": 1, "load_seconds": 0.421, "state": "ready"}
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


# -- every command ------------------------------------------------------------------------------

_COMMANDS: list[list[str]] = [
    ["jobs"],
    ["jobs", "j1"],
    ["cancel", "j1"],
    ["models"],
    ["models", "pets"],
    ["workers"],
    ["freeze", "far/away", "--name", "m"],
    ["inspect", "far/away"],
]


@pytest.mark.parametrize("arguments", _COMMANDS, ids=" ".join)
def test_json_is_one_document_before_or_after_the_arguments(
    freezing: Server, arguments: list[str]
) -> None:
    freezing.jobs["j1"] = [job()]
    first, *rest = arguments
    for given in ([first, "--json", *rest], [*arguments, "--json"]):
        found = run(*given)
        assert found.exit_code == 0
        assert isinstance(json.loads(found.stdout), dict)


@pytest.mark.parametrize("arguments", [*_COMMANDS, ["classify", __file__]], ids=" ".join)
def test_no_server_is_exit_code_3_and_one_sentence(
    server: Server, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(server, "answer", refuse)
    found = run(*arguments)
    assert (found.exit_code, found.stdout) == (3, "")
    assert "No Permafrost server answers at http://127.0.0.1:8000: start one" in found.stderr
    if arguments[0] != "classify":
        assert json.loads(run(*arguments, "--json").stdout)["error"]["code"] == "no_server"


@pytest.mark.parametrize("arguments", _COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (problem(503, "model_unavailable", "It cannot be loaded."), 3),
        (problem(404, "not_found", "There is no such job."), 1),
        (problem(410, "expired", "The job has expired."), 1),
        (problem(400, "invalid_request", "That is no id."), 2),
        (problem(500, "internal_error", "Something went wrong inside."), 1),
        (httpx.Response(200, html="<h1>Hello"), 3),
    ],
)
def test_what_the_server_says_decides_the_exit_code(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    refusal: httpx.Response,
    code: int,
) -> None:
    monkeypatch.setattr(server, "answer", lambda _: refusal)
    found = run(*arguments)
    assert (found.exit_code, found.stdout) == (code, "")
    assert len(found.stderr.strip().splitlines()) <= 2
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("arguments", [*_COMMANDS, ["classify", __file__]], ids=" ".join)
def test_ctrl_c_is_exit_code_130_without_a_traceback(
    server: Server, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("api.client.Client._request", interrupt)
    found = run(*arguments)
    assert (found.exit_code, found.stdout) == (130, "")
    assert "Stopped." in found.stderr


def test_the_server_is_taken_from_the_environment_unless_it_is_named(server: Server) -> None:
    run("workers", PERMAFROST_URL="http://from-environment:1")
    run("workers", "--server", "named:2", PERMAFROST_URL="http://from-environment:1")
    run("workers", PERMAFROST_URL="")
    hosts = [f"{request.url.host}:{request.url.port}" for request in server.requests]
    assert hosts == ["from-environment:1", "named:2", "127.0.0.1:8000"]


def test_a_narrow_terminal_gets_blocks_instead_of_a_crushed_table(server: Server) -> None:
    server.jobs["j1"] = [job()]
    found = run("jobs", COLUMNS="40")
    assert re.search(r"^status\s+succeeded$", found.stdout.replace(" \n", "\n"), re.MULTILINE)
    assert max(map(len, found.stdout.splitlines())) <= 40


def test_what_a_server_says_cannot_move_the_cursor(server: Server) -> None:
    server.models = {"a\x1b[2Jb": {"aliases": {}, "versions": []}}
    assert r"a\x1b[2Jb" in run("models").stdout

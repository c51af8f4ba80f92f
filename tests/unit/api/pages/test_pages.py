"""The pages, as far as they need no Redis: what they show, and that all of it is their own."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, render_template
from flask.testing import FlaskClient

from api import create_app, pages
from api.pages import filters
from tests.support.inspected import INSPECTED
from worker.errors import TooLargeError
from worker.jobs.records import Job, JobProgress, Kind, PinnedModel, Status
from worker.jobs.store import Page
from worker.models.manifest import ManifestDraft, Tensor
from worker.models.preprocessing import Preprocessing
from worker.models.registry import Registry
from worker.settings import Settings

FOLDER = Path(pages.__file__).parent
STATIC = sorted((FOLDER / "static").iterdir())
SOURCES = [*STATIC, *sorted((FOLDER / "templates").iterdir())]
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

ID = "01m83kj3dx40cyc7c5nbsy0kcv"
TIMES = "\N{MULTIPLICATION SIGN}"
NOW_MS = 1_795_416_000_000
VOID = frozenset({"meta", "link", "img", "input", "br", "hr"})


class Document(HTMLParser):
    """A page taken apart: elements with their attributes, text, and what is wrong with it.

    In the text, a multiplication sign becomes an x.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.wrong: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        self.wrong += [f"<{tag}> is never closed" for tag in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.wrong.append(f"</{tag}> closes something else")

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] == "script":
            self.wrong.append("a script is inline")
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split()).replace(TIMES, "x")

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    """Return the application with a registry of its own and a Redis that is not there."""
    url = f"unix://{tmp_path}/no.sock?db=0"
    # Who has never heard from Redis whether keys are needed answers nobody else.
    return create_app(Settings(redis_url=url, data=tmp_path / "data", access="open"))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture
def in_request(app: Flask) -> Iterator[None]:
    with app.test_request_context("/jobs/" + ID):
        yield


def job(**changes: Any) -> Job:
    fields: dict[str, Any] = {
        "id": ID,
        "kind": Kind.PREDICTION,
        "status": Status.SUCCEEDED,
        "model": PinnedModel(name="cats-dogs", version=3, sha256="a" * 64),
        "created_ms": NOW_MS,
        "started_ms": NOW_MS + 7,
        "finished_ms": NOW_MS + 7 + 2400,
        "expires_ms": NOW_MS + 86_400_000,
        "progress": JobProgress(total=1, succeeded=1, failed=0),
        "attempts": 1,
        "result": {
            "predictions": [
                {"label": "cat", "score": 0.9702},
                {"label": "<b>dog</b>", "score": 0.0298},
            ]
        },
        "error": None,
        "options": {},
    }
    return Job(**{**fields, **changes})


INSPECTION = job(
    kind=Kind.INSPECTION, model=None, result=INSPECTED, options={"source": None, "signature": None}
)
BATCH = job(
    kind=Kind.BATCH, result=None, progress=JobProgress(total=12, succeeded=10, failed=2, skipped=1)
)
WAITING = {"result": None, "started_ms": None, "finished_ms": None, "expires_ms": None}
FAILURE = {"code": "truncated", "message": "The image is cut off before its last pixel."}
REPORT: dict[str, Any] = {
    "model": "cats-dogs",
    "version": 2,
    "sha256": "b" * 64,
    "bytes_before": 25_591_732,
    "bytes_after": 8_508_067,
    "nodes_before": 401,
    "nodes_after": 41,
    "parameters": 2_126_178,
    "layers": [
        {"name": "conv1/kernel", "shape": [3, 3, 3, 32], "parameters": 864},
        {"name": "fc1", "shape": None, "parameters": 2_097_280},
    ],
    "removed": {"gradients": 160, "optimizer_slots": 60, "summaries": 0},
    "optimised": {"folded_constants": 7, "batch_norms": 3, "nodes_before": 62, "nodes_after": 41},
    "batch": {"source": 1, "served": None},
    "audit": {"verdict": "allowed", "allow_list": "2026-11-24", "ops": {"Conv2D": 3, "Relu": 3}},
    "inputs": [{"name": "x:0", "shape": [None, 128, 128, 3], "dtype": "float32"}],
    "outputs": [{"name": "y_pred:0", "shape": [None, 2], "dtype": "float32"}],
    "verification": {"samples": 8, "max_abs_difference": 1.19e-7, "top1_agreement": 1.0},
    "warnings": ["The labels are not known."],
}
_WAY = {
    "called": "values from 0 to 1, RGB",
    "served": True,
    "preprocessing": {"preset": "zero_one"},
    "command": "./permafrost models pets --preprocessing zero_one",
    "answers": [[{"label": "<b>cat</b>", "score": 0.9}], [{"label": "dog"}]],
}
COMPARISON = job(
    kind=Kind.COMPARISON,
    model=None,
    options={"model": "pets", "version": 2, "sha256": "ab" * 32},
    result={
        "model": "pets",
        "version": 2,
        "images": ["<b>a.jpg", "b.jpg"],
        "ways": [_WAY, _WAY | {"served": False}],
    },
)
PROOF = {
    "clear": False,
    "examples": 4,
    "labels": 2,
    "unreadable": ["'<b>': It is cut off."],
    "candidates": [
        {"called": "values <b>", "right": 4, "of": 4, "log_likelihood": -0.0123, "odds": None}
        | {"taken": True},
        {"called": "values from 0 to 1", "right": 2, "of": 4, "log_likelihood": -3, "odds": 20.0}
        | {"taken": False},
    ],
    "before": {"right": 4, "of": 4, "log_likelihood": -0.0123},
    "after": {"right": 3, "of": 4, "log_likelihood": -0.0123},
}
FREEZE = job(kind=Kind.FREEZE, model=None, result=REPORT, options={"name": "cats-dogs"})
WORKER = {
    "pid": 17238,
    "host": "den",
    "state": "ready",
    "queues": ["interactive", "bulk"],
    "graphs": [
        {
            "model": "cats-dogs",
            "version": 3,
            "state": "ready",
            "loads": 1,
            "load_seconds": 1.253,
            "error": None,
        },
        {
            "model": "old",
            "version": 1,
            "state": "failed",
            "loads": 0,
            "load_seconds": 0.0,
            "error": "The graph of old@1 is damaged.",
        },
    ],
    "memory_bytes": 386_000_000,
    "items": 43,
    "started_at": "2026-11-23T06:55:45.459Z",
}


def shown_job(
    shown: Job,
    photograph: str | None = None,
    log: tuple[str, ...] = (),
    labels: dict[str, int] | None = None,
) -> str:
    return render_template(
        "job.html",
        job=shown,
        photograph=photograph,
        log=list(log),
        labels=labels or {},
        most_labels=2,
    )


def shown_jobs(*found: Job, cursor: str | None = None, first: bool = True) -> str:
    return render_template(
        "jobs.html",
        page=Page(list(found), cursor),
        kind=None,
        status=Status.FAILED,
        first=first,
        kinds=list(Kind),
        statuses=list(Status),
    )


def shown_home(**changes: Any) -> str:
    fields: dict[str, Any] = {
        "models": [],
        "chosen": None,
        "error": None,
        "worker_ready": True,
        "freezing": None,
        "max_bytes": 20 * 2**20,
        "media_types": ["image/jpeg"],
    }
    return render_template("home.html", **{**fields, **changes})


def published(folder: Path, name: str = "cats-dogs", labels: list[str] | None = None) -> Registry:
    graph = folder / "graph.pb"
    graph.write_bytes(b"a graph")
    registry = Registry(folder / "data" / "models")
    registry.publish(
        ManifestDraft(
            name=name,
            inputs=[Tensor(name="x:0", shape=[None, 128, 128, 3], dtype="float32")],
            outputs=[Tensor(name="y_pred:0", shape=[None, 2], dtype="float32")],
            labels=labels,
            preprocessing=Preprocessing(size=(128, 128), mean=[0.5], std=[0.25]),
        ),
        graph,
    )
    return registry


def every_page(folder: Path) -> dict[str, str]:
    """Return every page in every state that it has."""
    models = published(folder, labels=["cat", "dog"])
    batch = job(
        kind=Kind.BATCH,
        status=Status.RUNNING,
        result=None,
        progress=JobProgress(total=12_000, succeeded=9, failed=1),
    )
    return {
        "home": shown_home(models=models.stable()),
        "home without workers": shown_home(models=models.stable(), worker_ready=False),
        "home with an error": shown_home(models=models.stable(), error=TooLargeError("Too large.")),
        "home without models": shown_home(),
        "home while a model is frozen": shown_home(freezing=ID),
        "prediction": shown_job(job(), "image/jpeg"),
        "prediction of a TIFF": shown_job(job(), "image/tiff"),
        "prediction without its photograph": shown_job(job()),
        "queued prediction": shown_job(job(status=Status.QUEUED, **WAITING), "image/png"),
        "failed prediction": shown_job(job(status=Status.FAILED, result=None, error=FAILURE)),
        "cancelled prediction": shown_job(job(status=Status.CANCELLED, **WAITING)),
        "freeze": shown_job(FREEZE, log=("Reading.", "Done.")),
        "running freeze": shown_job(
            job(kind=Kind.FREEZE, status=Status.RUNNING, model=None, **WAITING), log=("Reading.",)
        ),
        "failed freeze": shown_job(
            job(kind=Kind.FREEZE, status=Status.FAILED, model=None, result=None, error=FAILURE)
        ),
        "batch": shown_job(batch),
        "batch that has ended": shown_job(BATCH, labels={"cat": 9, "<b>dog</b>": 1}),
        "inspection": shown_job(INSPECTION, log=("Reading.",)),
        "inspection of another version": shown_job(
            job(kind=Kind.INSPECTION, model=None, result={"kind": "a <b>"})
        ),
        "failed inspection": shown_job(
            job(kind=Kind.INSPECTION, status=Status.FAILED, model=None, result=None, error=FAILURE)
        ),
        "freeze with examples": shown_job(
            replace(FREEZE, result={**REPORT, "examples": PROOF}), log=("Reading.",)
        ),
        "comparison": shown_job(COMPARISON, log=("Comparing.",)),
        "failed comparison": shown_job(
            replace(COMPARISON, status=Status.FAILED, result=None, error=FAILURE)
        ),
        "jobs": shown_jobs(job(), FREEZE, batch, job(status=Status.FAILED, error=FAILURE)),
        "jobs of freezing workers": shown_jobs(FREEZE, COMPARISON),
        "older jobs": shown_jobs(job(), cursor=ID, first=False),
        "no jobs": shown_jobs(),
        "models": render_template("models.html", models=[models.model("cats-dogs")], unreadable=[]),
        "no models": render_template("models.html", models=[], unreadable=[]),
        "a damaged model": render_template("models.html", models=[], unreadable=["Damaged."]),
        "workers": render_template("workers.html", workers=[WORKER]),
        "no workers": render_template("workers.html", workers=[]),
        "problem": render_template("problem.html", status=404, title="Not Found", detail="No <b>."),
    }


# -- Every page ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("in_request")
def test_every_page_is_well_formed_and_needs_no_inline_script_or_style(tmp_path: Path) -> None:
    for name, html in every_page(tmp_path).items():
        document = Document(html)
        assert not document.wrong, (name, document.wrong)
        for tag, attributes in document.elements:
            assert tag != "style", name
            inline = [key for key in attributes if key == "style" or key.startswith("on")]
            assert not inline, (name, tag, inline)
        for script in document.all("script"):
            assert (script["src"] or "").startswith("/static/"), name


@pytest.mark.usefixtures("in_request")
def test_every_page_can_be_found_ones_way_in(tmp_path: Path) -> None:
    for name, html in every_page(tmp_path).items():
        document = Document(html)
        tags = Counter(tag for tag, _ in document.elements)
        assert document.all("html") == [{"lang": "en"}], name
        assert [tags[tag] for tag in ("h1", "main", "footer", "title")] == [1, 1, 1, 1], name
        assert re.search(r"<title>[^<]{3,} · Permafrost</title>", html), name
        ids = Counter(a["id"] for _, a in document.elements if "id" in a)
        # A template is not part of the page until the script clones it.
        assert {count for key, count in ids.items() if key != "job-url"} == {1}, (name, ids)
        for attribute in ("for", "aria-labelledby", "aria-describedby"):
            for _, attributes in document.elements:
                assert attributes.get(attribute) is None or attributes[attribute] in ids, name
        assert all("alt" in image for image in document.all("img")), name
        labelled = {label.get("for") for label in document.all("label")}
        for field in document.all("input") + document.all("select"):
            assert field["id"] in labelled, (name, field)


def test_the_reference_describes_every_operation_and_its_body(client: FlaskClient) -> None:
    answer = client.get("/docs")
    assert answer.status_code == 200
    document = Document(answer.text)
    assert not document.wrong
    spec = client.get("/openapi.json").get_json()
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            assert f"{method.upper()} {path}" in document.text
            assert operation["summary"].partition("`")[0].strip() in document.text
    for part in (
        "Body, application/json source string",
        "name string, required",
        "batch keep | free",
        "files list of file All files of the model;",
        "Which signature of a SavedModel",
        "202 The job was accepted",
    ):
        assert part in document.text, part
    assert not document.all("script")
    ids = Counter(attributes["id"] for _, attributes in document.elements if "id" in attributes)
    assert set(ids.values()) == {1}
    anchors = {str(a["href"])[1:] for a in document.all("a") if str(a["href"]).startswith("#")}
    assert anchors - {"main"} <= set(ids)
    assert "`" not in document.text


def test_the_description_of_the_api_holds_the_schemas_of_what_is_sent_and_given(
    client: FlaskClient,
) -> None:
    spec = client.get("/openapi.json").get_json()
    schemas = spec["components"]["schemas"]
    assert {"FreezeRequest", "InspectionRequest", "Inspection", "Version"} <= set(schemas)
    body = spec["paths"]["/v1/inspections"]["post"]["requestBody"]["content"]
    reference = "#/components/schemas/SourceInspectionRequest"
    assert body["application/json"]["schema"] == {"$ref": reference}
    assert body["multipart/form-data"]["schema"] == {"$ref": "#/components/schemas/InspectionForm"}
    assert set(schemas["InspectionForm"]["properties"]) == {
        *("files", "archive", "labels", "options")
    }
    assert "name" in schemas["FreezeRequest"]["required"]
    assert spec["servers"] == [{"url": "/"}]


@pytest.mark.usefixtures("in_request")
def test_the_layout_leads_everywhere_and_only_to_what_there_is(client: FlaskClient) -> None:
    links = [link["href"] for link in Document(shown_home()).all("a")]
    assert {"/", "/jobs", "/models", "/workers", "/docs", "/openapi.json"} <= set(links)
    rules = {rule.rule for rule in client.application.url_map.iter_rules()}
    assert {str(link).partition("#")[0] or "/" for link in links} <= rules


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_nothing_comes_from_outside(path: Path) -> None:
    text = path.read_text().replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?://|[\"'(]//|@import|data:", text)


# -- Single pages -------------------------------------------------------------------------------


@pytest.mark.usefixtures("in_request")
def test_a_prediction_is_shown_as_bars_with_exact_scores_to_be_had() -> None:
    document = Document(shown_job(job(), "image/jpeg"))
    assert "cat 97.0%" in document.text
    assert "<b>dog</b> 3.0%" in document.text
    assert [bar["width"] for bar in document.all("rect")] == ["97.02%", "2.98%"]
    assert [row["title"] for row in document.all("li") if "title" in row] == [
        "cat: 0.9702",
        "<b>dog</b>: 0.0298",
    ]
    assert "Model cats-dogs@3" in document.text
    assert "Waited 7 ms" in document.text
    assert "Ran for 2.4 s" in document.text
    assert {"src": f"/jobs/{ID}/image", "alt": "The photograph of this job"} in document.all("img")
    assert any(link["href"] == f"/v1/jobs/{ID}" for link in document.all("a"))
    assert any(field["value"] == f"http://localhost/jobs/{ID}" for field in document.all("input"))


@pytest.mark.usefixtures("in_request")
@pytest.mark.parametrize("status", list(Status))
def test_a_page_refreshes_itself_only_until_its_job_has_ended(status: Status) -> None:
    html = shown_job(job(status=status, result=job().result if status == "succeeded" else None))
    refreshes = '<noscript><meta http-equiv="refresh" content="1"></noscript>' in html
    followed = f'data-events="/v1/jobs/{ID}/events"' in html
    assert refreshes == followed == (not status.ended)


@pytest.mark.usefixtures("in_request")
def test_a_failed_job_shows_its_sentence() -> None:
    failed = job(status=Status.FAILED, result=None, error=FAILURE)
    assert FAILURE["message"] in Document(shown_job(failed)).text
    assert "The photograph is not kept." in Document(shown_job(failed)).text


@pytest.mark.usefixtures("in_request")
def test_a_photograph_that_browsers_cannot_show_is_linked_to() -> None:
    document = Document(shown_job(job(), "image/tiff"))
    assert not [image for image in document.all("img") if "/image" in (image["src"] or "")]
    assert any(link["href"] == f"/jobs/{ID}/image" for link in document.all("a"))


@pytest.mark.usefixtures("in_request")
def test_a_freeze_shows_its_report_and_log() -> None:
    text = Document(shown_job(FREEZE, log=("Reading the source.",))).text
    for part in (
        "Freeze of cats-dogs",
        "Published as cats-dogs@2",
        "Size 8.5 MB from 25.6 MB",
        "Nodes 41 from 401",
        "Parameters 2,126,178 in 2 variables",
        "1.2e-7 over 8 samples, best class the same in 100%",
        "The labels are not known.",
        "Removed 160 gradients, 60 optimizer slots",
        "Optimised 7 constants and 3 batch normalisations folded 62 nodes became 41",
        "Batch Freed: any number of images at once, the source took 1",
        "Audited 2 kinds of ops, all of them allowed list 2026-11-24",
        "conv1/kernel 3 x 3 x 3 x 32 864",
        "y_pred:0 ? x 2",
        "Reading the source.",
    ):
        assert part in text
    assert "summaries" not in text


@pytest.mark.usefixtures("in_request")
def test_what_examples_say_and_what_is_answered_otherwise_is_shown() -> None:
    shown = Document(shown_job(replace(FREEZE, result={**REPORT, "examples": PROOF}))).text
    for part in (
        "Tried on 4 examples of 2 labels",
        "4 of 4 are right before freezing, 3 of 4 after.",
        "The examples do not decide",
        "values <b> (taken) 4 of 4 -0.0123 over 1,000,000 times",
        "values from 0 to 1 2 of 4 -3 20 times",
        "Left out: '<b>': It is cut off.",
    ):
        assert part in shown, (part, shown)
    shown = Document(shown_job(COMPARISON)).text
    assert "values from 0 to 1, RGB <b>cat</b> 90.0% dog \N{EN DASH} It is so now" in shown
    assert "dog \N{EN DASH} ./permafrost models pets --preprocessing zero_one" in shown


@pytest.mark.usefixtures("in_request")
def test_an_inspection_shows_what_to_freeze_and_why() -> None:
    document = Document(shown_job(INSPECTION, log=("Reading the source.",)))
    for part in (
        "Freeze y_pred:0 with x:0 as the input",
        "Size 25.6 MB TensorFlow 1 checkpoint, by TensorFlow 1.10.0",
        "Frozen 8.5 MB 41 of 401 nodes",
        "Parameters 2,946 of 3,000",
        "Dropout is on. drop",
        "Freeze it ./permafrost freeze SOURCE --name pets --output y_pred",
        "SOURCE is where the files are on your machine.",
        "stretch to 96 x 96, rgb, ÷ 255, NHWC values assumed",
        "y_pred:0 chosen float32 ? x 2 Softmax a softmax; named",
        "add_4:0 float32 unknown shape AddV2 logits",
        "x:0 chosen float32 ? x 96 x 96 x 3 Placeholder height and <width>",
        "keep_prob float32 unknown shape 1.0 dropout lets everything through with it",
        "phase bool scalar default false it has a default",
        "serve images x:0 scores y_pred:0",
        "Optimizer slots 22 17.0 MB",
        "Addons>Gelu 3 no tensorflow-addons",
        "conv1 kernel 3x3x3x32, bias 32 2,946",
        "Reading the source.",
    ):
        assert part in document.text, part
    assert "Queues" not in document.text
    copied = [button["data-copies"] for button in document.all("button")]
    assert "freeze-command" in copied


@pytest.mark.usefixtures("in_request")
@pytest.mark.parametrize(
    ("changes", "title", "advice"),
    [
        ({"choice": {**INSPECTED["choice"], "clear": False}}, "Several things", "for instance"),
        (
            {"freeze": {**INSPECTED["freeze"], "ready": False}},
            "The answer is y_pred:0, but something stands in the way",
            "once that is settled",
        ),
        (
            {"outputs": [], "choice": {"clear": False, "outputs": []}},
            "Nothing in it looks like an answer",
            "for instance",
        ),
    ],
)
def test_an_inspection_says_what_is_not_clear(
    changes: dict[str, Any], title: str, advice: str
) -> None:
    found = job(kind=Kind.INSPECTION, model=None, result={**INSPECTED, **changes})
    text = Document(shown_job(found)).text
    assert title in text
    assert f"Freeze it, {advice}" in text


@pytest.mark.usefixtures("in_request")
def test_a_job_list_says_what_came_of_each_job() -> None:
    shown = [job(), FREEZE, INSPECTION, job(status=Status.FAILED, error=FAILURE)]
    document = Document(shown_jobs(*shown))
    assert "pets-7 y_pred:0 clear" in document.text
    assert "cat 97.0%" in document.text
    assert "version 2 8.5 MB" in document.text
    assert FAILURE["message"] in document.text
    assert [o for o in document.all("option") if "selected" in o] == [
        {"value": "failed", "selected": None}
    ]
    links = [link["href"] for link in Document(shown_jobs(job(), cursor=ID)).all("a")]
    assert f"/jobs?status=failed&cursor={ID}" in links


@pytest.mark.usefixtures("in_request")
def test_workers_are_listed_with_their_loads() -> None:
    text = Document(render_template("workers.html", workers=[WORKER])).text
    assert "17238 on den ready interactive, bulk cats-dogs@3 1 load, 1.3 s" in text
    assert "The graph of old@1 is damaged." in text
    assert "43 386.0 MB" in text


def test_models_are_listed_with_their_versions(client: FlaskClient, tmp_path: Path) -> None:
    published(tmp_path, labels=[f"label-{n}" for n in range(1000)])
    published(tmp_path).set_alias("cats-dogs", "canary", 1)
    answer = client.get("/models")
    document = Document(answer.text)
    assert answer.status_code == 200
    assert "Version 2 stable" in document.text
    assert "Version 1 canary" in document.text
    assert "1,000: label-0, label-1" in document.text
    assert "stretch to 128 x 128 (bilinear), rgb, ÷ 255, mean 0.5, std 0.25, NHWC" in document.text
    links = [link["href"] for link in document.all("a")]
    assert "/v1/models/cats-dogs/versions/2/graph" in links


def test_models_say_with_which_runtime_they_are_served_and_if_they_classify_at_all(
    client: FlaskClient, tmp_path: Path
) -> None:
    registry = published(tmp_path, labels=["cat", "dog"])
    manifest = registry.manifest("cats-dogs", 1)
    draft = manifest.model_dump(include=set(ManifestDraft.model_fields))
    graph = registry.graph_path("cats-dogs", 1)
    text = Document(client.get("/models").text).text
    assert "ONNX Runtime" not in text
    assert "can only be downloaded" not in text
    fast = ManifestDraft(**{**draft, "name": "fast", "runtime": "onnxruntime"})
    registry.publish(fast, graph, accelerated=graph)
    registry.publish(ManifestDraft(**{**draft, "name": "prices", "preprocessing": None}), graph)
    registry.publish(ManifestDraft(**{**draft, "name": "masks", "scores": None}), graph)
    text = Document(client.get("/models").text).text
    assert "Served with ONNX Runtime" in text
    assert "none: it takes no images and can only be downloaded" in text
    assert "no scores: it can only be downloaded" in text
    assert {model.name for model in registry.stable()} == {"cats-dogs", "fast"}


def test_one_damaged_manifest_does_not_hide_the_other_models(
    client: FlaskClient, tmp_path: Path
) -> None:
    for name in ("cats-dogs", "cats-dogs", "other"):
        published(tmp_path, name=name)
    for damaged in ("cats-dogs/1", "other/1"):
        (tmp_path / "data" / "models" / damaged / "manifest.json").write_text("{")
    text = Document(client.get("/models").text).text
    assert "Version 2 stable" in text
    assert "The manifest of cats-dogs@1 cannot be read" in text
    assert "The manifest of other@1 cannot be read" in text


@pytest.mark.usefixtures("in_request")
def test_a_batch_shows_its_counts_its_labels_and_where_its_table_is() -> None:
    page = Document(shown_job(BATCH, labels={"cat": 7, "dog": 2, "cow": 1}))
    assert "Images 12 Classified 10 Failed 2 Passed over 1 file" in page.text
    assert "By label cat 7 dog 2 and 1 more." in page.text
    results = f"/v1/batches/{ID}/results"
    for query in ("format=csv&bom=1", "format=jsonl", "format=csv&bom=1&status=failed"):
        assert f"{results}?{query}&order=path" in [link.get("href") for link in page.all("a")]


@pytest.mark.usefixtures("in_request")
def test_a_batch_of_which_nothing_is_done_has_no_table_yet() -> None:
    waiting = job(
        kind=Kind.BATCH,
        status=Status.QUEUED,
        progress=JobProgress(total=12, succeeded=0, failed=0),
        **WAITING,
    )
    page = Document(shown_job(waiting))
    assert "Waiting for a worker" in page.text
    assert not [link for link in page.all("a") if "results" in str(link["href"])]


# -- Answers ------------------------------------------------------------------------------------


def test_an_unknown_address_is_answered_with_a_page_to_a_browser(client: FlaskClient) -> None:
    answer = client.get("/nothing", headers=BROWSER)
    assert (answer.status_code, answer.mimetype) == (404, "text/html")
    assert "Not Found" in Document(answer.text).text
    assert client.get("/nothing").mimetype == "application/problem+json"


@pytest.mark.parametrize("path", ["/", "/jobs", f"/jobs/{ID}", f"/jobs/{ID}/image", "/workers"])
def test_a_store_that_does_not_answer_is_said_in_a_sentence(client: FlaskClient, path: str) -> None:
    answer = client.get(path, headers=BROWSER)
    assert (answer.status_code, answer.mimetype) == (503, "text/html")
    assert "The job store does not answer at present" in answer.text


def test_a_job_id_that_cannot_be_one_is_not_found(client: FlaskClient) -> None:
    answer = client.get("/jobs/<script>", headers=BROWSER)
    assert answer.status_code == 404
    assert "<script>" not in answer.text


@pytest.mark.parametrize("path", ["/models", "/nothing", "/static/home.js", "/static/none"])
def test_pages_and_their_parts_carry_a_strict_policy(client: FlaskClient, path: str) -> None:
    with client.get(path, headers=BROWSER) as answer:
        headers = answer.headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'self'"
    assert policy["img-src"] == "'self' blob:"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_the_interface_for_programs_is_left_as_it_is(client: FlaskClient) -> None:
    headers = client.get("/v1/models").headers
    assert "Content-Security-Policy" not in headers


def test_pages_are_asked_for_again_and_static_files_are_compared(client: FlaskClient) -> None:
    assert client.get("/models").headers["Cache-Control"] == "private, no-cache"
    for path in STATIC:
        with client.get(f"/static/{path.name}") as first:
            assert first.status_code == 200
            assert first.headers["Cache-Control"] == "no-cache"
        known = {"If-None-Match": first.headers["ETag"]}
        with client.get(f"/static/{path.name}", headers=known) as again:
            assert again.status_code == 304


@pytest.mark.parametrize(
    ("name", "media_types"),
    [
        ("home.js", {"text/javascript", "application/javascript"}),
        ("permafrost.css", {"text/css"}),
        ("crystal.svg", {"image/svg+xml"}),
    ],
)
def test_static_files_say_what_they_are(
    client: FlaskClient, name: str, media_types: set[str]
) -> None:
    with client.get(f"/static/{name}") as answer:
        assert answer.mimetype in media_types


# -- Values -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (filters.share(0.5), "50.00%"),
        (filters.share(-3), "0.00%"),
        (filters.share(12), "100.00%"),
        (filters.duration(85), "85 ms"),
        (filters.age(time.time() * 1000 - 200_000_000), "2 d ago"),
        (filters.moment(NOW_MS), "2026-11-23 06:40:00 UTC"),
        (filters.milliseconds("2026-11-23T06:40:00.000Z"), NOW_MS),
        (filters.tiny(1.19e-7), "1.2e-7"),
        (filters.tiny(0), "0"),
        (filters.shape([None, 28, 28]), f"? {TIMES} 28 {TIMES} 28"),
        (filters.shape([]), "scalar"),
        (filters.shape(None), "unknown shape"),
    ],
)
def test_values_as_a_person_reads_them(shown: object, expected: object) -> None:
    assert shown == expected

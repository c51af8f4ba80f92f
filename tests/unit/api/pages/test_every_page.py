"""Every page in every state: well-formed, usable without a script, and all of it its own."""

import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from flask import render_template
from flask.testing import FlaskClient

from api import pages
from tests.support.page_document import Document
from tests.support.shown_pages import (
    BATCH,
    COMPARISON,
    FAILURE,
    FREEZE,
    ID,
    INSPECTION,
    PROOF,
    REPORT,
    WAITING,
    WORKER,
    job,
    published,
    shown_home,
    shown_job,
    shown_jobs,
)
from worker.errors import TooLargeError
from worker.jobs.records import JobProgress, Kind, Status

FOLDER = Path(pages.__file__).parent
STATIC = sorted((FOLDER / "static").iterdir())
SOURCES = [*STATIC, *sorted((FOLDER / "templates").iterdir())]


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

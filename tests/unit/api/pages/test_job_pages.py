"""The pages of jobs: what each kind shows, and the list of them."""

from dataclasses import replace
from typing import Any

import pytest

from tests.support.inspected import INSPECTED
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
    job,
    shown_job,
    shown_jobs,
)
from worker.jobs.records import JobProgress, Kind, Status


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

"""The page of a job that has not ended yet, in a real browser; the test is the worker."""

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Idle, Visitor, drawn
from tests.support.inspected import INSPECTED
from worker.jobs.keys import key
from worker.jobs.records import Lane, Outcome

MARKUP = "<img src=x onerror=alert(1)>"
CAT = Outcome(
    result={"predictions": [{"label": "cat", "score": 0.97}, {"label": MARKUP, "score": 0.03}]}
)
REPORT = Outcome(
    result={
        "model": "cats-dogs",
        "version": 1,
        "sha256": "a" * 64,
        "bytes_before": 25_000_000,
        "bytes_after": 8_000_000,
        "nodes_before": 401,
        "nodes_after": 41,
        "parameters": 2_126_178,
        "layers": [],
        "removed": {},
        "inputs": [],
        "outputs": [],
        "verification": {"samples": 8, "max_abs_difference": 0.0, "top1_agreement": 1.0},
        "warnings": [],
    }
)


def test_the_result_appears_while_one_looks(idle: Idle, visitor: Visitor) -> None:
    job = idle.submit(drawn())
    page = visitor.open(f"{idle.url}/jobs/{job}")
    expect(page.locator(".status")).to_have_text("queued")
    expect(page.locator(".photograph img")).to_be_visible()
    idle.work(CAT)
    expect(page.locator(".bars__label")).to_have_text(["cat", MARKUP])
    expect(page.locator(".status")).to_have_text("succeeded")
    expect(page.get_by_role("status")).to_contain_text("cat 97.0%")
    expect(page).to_have_title("Prediction succeeded · Permafrost")
    expect(page.get_by_role("button", name="Copy")).to_be_visible()


def test_a_refused_event_stream_is_replaced_by_asking(idle: Idle, visitor: Visitor) -> None:
    visitor.refusals.add(503)
    job = idle.submit(drawn())
    page = visitor.open("about:blank")
    page.route("**/events", lambda route: route.fulfill(status=503))
    with page.expect_request("**/v1/jobs/*?wait=*"):
        page.goto(f"{idle.url}/jobs/{job}")
    idle.work(CAT)
    expect(page.locator(".bars__row").first).to_be_visible()


def test_without_javascript_the_page_refreshes_itself(idle: Idle, visitor: Visitor) -> None:
    page = visitor.open(idle.url, java_script_enabled=False)
    expect(page.get_by_role("status").first).to_contain_text("No worker is ready yet.")
    page.set_input_files(
        "#image", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": drawn("gray")}
    )
    page.get_by_role("button", name="Classify").click()
    expect(page.locator(".verdict")).to_have_text("Waiting for a worker…")
    idle.work(CAT)
    expect(page.locator(".bars__label")).to_have_text(["cat", MARKUP])
    assert 'http-equiv="refresh"' not in page.content()


def test_the_first_page_waits_for_a_slow_worker(idle: Idle, visitor: Visitor) -> None:
    page = visitor.open(idle.url)
    page.set_input_files("#image", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": drawn()})
    expect(page.get_by_role("button", name="Classifying…")).to_be_visible()
    expect(page.locator("#verdict")).to_have_text("Waiting for a worker…")
    expect(page.locator("#job-url")).to_be_visible()
    idle.work(CAT)
    expect(page.locator("#outcome .bars__label")).to_have_text(["cat", MARKUP])
    expect(page.get_by_role("button", name="Classify again")).to_be_visible()


def test_photographs_sent_one_after_another_each_get_their_own_result(
    idle: Idle, visitor: Visitor
) -> None:
    page = visitor.open(idle.url)
    for color in ("tan", "gray"):
        with page.expect_request(lambda request: request.method == "POST"):
            page.set_input_files(
                "#image",
                {"name": f"{color}.jpg", "mimeType": "image/jpeg", "buffer": drawn(color)},
            )
    expect(page.locator(".shot__verdict, #verdict")).to_have_text(["Waiting for a worker…"] * 2)
    idle.work(CAT)
    expect(page.locator(".shot__verdict")).to_have_text("cat 97.0%")
    expect(page.locator("#verdict")).to_have_text("Waiting for a worker…")
    idle.work(Outcome(error={"code": "model_failed", "message": "The model failed on it."}))
    expect(page.locator("#verdict")).to_have_text("The model failed on it.")


def test_a_freeze_tells_its_steps_and_then_its_report(idle: Idle, visitor: Visitor) -> None:
    job = idle.freeze("cats-dogs")
    idle.store.add_log(job, "Reading.")
    page = visitor.open(f"{idle.url}/jobs/{job}")
    lines = page.locator("#log > li")
    expect(lines).to_have_text(["Reading."])
    idle.store.add_log(job, "Freezing.", "Verifying.")
    expect(lines).to_have_text(["Reading.", "Freezing.", "Verifying."])
    idle.work(REPORT, Lane.FREEZING)
    expect(page.get_by_role("heading", name="Published as cats-dogs@1")).to_be_visible()
    expect(lines).to_have_count(3)


def test_an_inspection_appears_with_a_command_to_copy(idle: Idle, visitor: Visitor) -> None:
    job = idle.inspect("pets")
    page = visitor.open(f"{idle.url}/jobs/{job}", viewport={"width": 390, "height": 800})
    idle.store.add_log(job, "Reading.")
    expect(page.locator("#log > li")).to_have_text(["Reading."])
    idle.work(Outcome(result=INSPECTED), Lane.FREEZING)
    title = "Freeze y_pred:0 with x:0 as the input"
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    expect(page.get_by_role("status")).to_have_text(title)
    expect(page.locator("#freeze-command")).to_be_visible()
    page.get_by_role("button", name="Copy").first.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    page.get_by_text("The same for").click()
    expect(page.get_by_text('"keep_prob": 1.0')).to_be_visible()
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) == 0
    without = visitor.open(f"{idle.url}/jobs/{job}", java_script_enabled=False)
    expect(without.get_by_role("heading", name=title)).to_be_visible()
    expect(without.get_by_role("button", name="Copy")).to_have_count(0)


def test_the_reference_needs_no_script(idle: Idle, visitor: Visitor) -> None:
    page = visitor.open(idle.url, java_script_enabled=False)
    page.get_by_role("link", name="API reference").click()
    page.get_by_role("link", name="POST /v1/inspections").click()
    assert page.url.endswith("/docs#post-v1-inspections")
    expect(page.get_by_text("Nothing of the source is run.")).to_be_visible()


def test_a_cancelled_job_says_so(idle: Idle, visitor: Visitor) -> None:
    job = idle.submit(drawn())
    page = visitor.open(f"{idle.url}/jobs/{job}")
    idle.store.cancel(job)
    expect(page.locator(".notice")).to_have_text("The job was cancelled.")


def test_the_photograph_is_kept_for_a_while_and_then_said_to_be_gone(
    idle: Idle, visitor: Visitor
) -> None:
    job = idle.submit(drawn())
    idle.work(CAT)
    url = f"{idle.url}/jobs/{job}"
    kept = httpx.get(f"{url}/image")
    assert (kept.status_code, kept.headers["Content-Type"]) == (200, "image/jpeg")
    assert kept.content == drawn()
    assert kept.headers["Cache-Control"] == "private, max-age=600"
    assert kept.headers["X-Content-Type-Options"] == "nosniff"
    assert 0 < idle.client.ttl(key("upload", job, 0)) <= 600
    idle.client.delete(key("upload", job, 0))
    assert httpx.get(f"{url}/image", headers={"Accept": "text/html"}).status_code == 404
    page = visitor.open(url)
    expect(page.get_by_text("The photograph is not kept.")).to_be_visible()
    expect(page.locator(".photograph")).to_have_count(0)


@pytest.mark.parametrize("what", ["", "/image"])
def test_an_expired_job_is_gone(idle: Idle, visitor: Visitor, what: str) -> None:
    visitor.refusals.add(410)
    job = idle.submit(drawn())
    idle.work(CAT)
    idle.client.delete(key("job", job))
    page = visitor.open(f"{idle.url}/jobs/{job}{what}")
    expect(page.get_by_role("heading", name="Gone")).to_be_visible()
    expect(page.get_by_text("has expired")).to_be_visible()


def test_older_jobs_are_a_page_away(idle: Idle, visitor: Visitor) -> None:
    for _ in range(26):
        idle.store.cancel(idle.submit(drawn()))
    page = visitor.open(f"{idle.url}/jobs")
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(25)
    newest = rows.first.get_by_role("link").get_attribute("href")
    page.get_by_role("link", name="Older").click()
    expect(rows).not_to_have_count(0)
    assert rows.first.get_by_role("link").get_attribute("href") != newest
    page.get_by_role("link", name="Newest").click()
    page.get_by_label("Kind").select_option("prediction")
    page.get_by_label("Status").select_option("cancelled")
    page.get_by_role("button", name="Show").click()
    expect(page.locator(".status")).to_have_text(["cancelled"] * 25)

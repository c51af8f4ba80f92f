"""Pages that move on with their jobs, and what can be done on them; the test is the worker."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Idle, Visitor, drawn
from worker.jobs.log_lines import LogLine
from worker.jobs.records import Outcome, Status

CAT = Outcome(result=[["cat", 0.97], ["dog", 0.03]], label="cat")
DAMAGED = Outcome(error={"code": "invalid_image", "message": "The header is damaged."})
AMBER = "document.querySelector('.job__header .status').classList.contains('status--partial')"
WIDE = """() => {
    const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
    return wide > 0 ? wide : 0;
}"""


def expect_no_sideways_scrolling(page: Page) -> None:
    assert page.evaluate(WIDE) == 0, page.url


def test_the_numbers_of_a_running_batch_move_on(idle: Idle, visitor: Visitor) -> None:
    job = idle.batch(4)
    page = visitor.open(f"{idle.url}/jobs/{job}")
    expect(page.locator("[data-live=succeeded]")).to_have_text("0")
    idle.classify([CAT, CAT])
    # No reload: within 2 s the number is there.
    expect(page.locator("[data-live=succeeded]")).to_have_text("2", timeout=2000)
    expect(page.get_by_role("progressbar")).to_have_js_property("value", 2)
    idle.classify([CAT, DAMAGED])
    expect(page.locator(".job__header .status")).to_have_text("succeeded, 1 failed")


def test_a_running_freeze_says_which_step_it_is_at(idle: Idle, visitor: Visitor) -> None:
    job = idle.freeze("cats-dogs")
    idle.store.add_log(job, LogLine.of_step("Read the source", 1, 7))
    page = visitor.open(f"{idle.url}/jobs/{job}")
    says, bar = page.locator("[data-live=says]"), page.get_by_role("progressbar")
    expect(says).to_have_text("Step 1 of 7: Read the source…")
    idle.store.add_log(job, LogLine.of_step("Freeze", 3, 7))
    expect(says).to_have_text("Step 3 of 7: Freeze…")
    expect(bar).to_have_js_property("value", 3)
    expect(bar).to_have_js_property("max", 7)


def test_failures_of_a_batch_are_named_and_tried_again(idle: Idle, visitor: Visitor) -> None:
    job = idle.batch(3)
    idle.classify([CAT, DAMAGED, DAMAGED])
    page = visitor.open(f"{idle.url}/jobs/{job}", viewport={"width": 360, "height": 740})
    assert page.evaluate(AMBER)
    expect(page.locator(".failures > li")).to_have_text(re.compile("2 The header is damaged."))
    expect(page.locator(".failures__names > li")).to_have_count(2)
    expect_no_sideways_scrolling(page)
    page.goto(f"{idle.url}/jobs")
    expect(page.locator(".status--partial")).to_have_text("succeeded, 2 failed")
    expect_no_sideways_scrolling(page)
    page.goto(f"{idle.url}/jobs/{job}")
    page.get_by_role("button", name="Try the failed images again").click()
    idle.classify([CAT, CAT])
    expect(page.locator(".job__header .status")).to_have_text("succeeded")
    expect(page.locator(".failures")).to_have_count(0)


@pytest.mark.parametrize("scripted", [True, False])
def test_a_job_is_cancelled_on_its_page(idle: Idle, visitor: Visitor, scripted: bool) -> None:
    job = idle.submit(drawn())
    page = visitor.open(f"{idle.url}/jobs/{job}", java_script_enabled=scripted)
    page.get_by_role("button", name="Cancel this job").click()
    expect(page.get_by_text("The job was cancelled.").first).to_be_visible()
    assert idle.store.get(job).status is Status.CANCELLED
    expect(page.get_by_role("button", name="Cancel this job")).to_have_count(0)


def test_rows_of_jobs_move_on(idle: Idle, visitor: Visitor) -> None:
    idle.batch(2)
    page = visitor.open(f"{idle.url}/jobs")
    expect(page.locator("tbody .status")).to_have_text("queued")
    idle.classify([CAT])
    expect(page.locator("tbody .status")).to_have_text("running")
    expect(page.locator(".jobs__outcome")).to_have_text("1 of 2")
    idle.classify([CAT])
    expect(page.locator("tbody .status")).to_have_text("succeeded")


def test_a_long_name_makes_nothing_scroll_sideways(idle: Idle, visitor: Visitor) -> None:
    job = idle.freeze("m" * 60)
    page = visitor.open(f"{idle.url}/jobs/{job}", viewport={"width": 360, "height": 740})
    expect_no_sideways_scrolling(page)
    page.goto(f"{idle.url}/jobs")
    expect_no_sideways_scrolling(page)
    table, age = (page.locator(name).bounding_box() for name in (".card--table", ".jobs__age"))
    assert table is not None
    assert age is not None
    assert age["x"] + age["width"] <= table["x"] + table["width"]
    assert page.locator(".jobs__model").evaluate("cell => cell.scrollWidth <= cell.clientWidth")


def drop(page: Page, *paths: Path) -> None:
    """Drop files and folders of the disk by the browser's own drag events."""
    session = page.context.new_cdp_session(page)
    box = page.locator("#drop").bounding_box()
    assert box is not None
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"x": box["x"] + 20, "y": box["y"] + 20}
        session.send("Input.dispatchDragEvent", {"type": kind, **place, "data": data})


def test_a_dropped_folder_becomes_a_batch(idle: Idle, visitor: Visitor, tmp_path: Path) -> None:
    folder = tmp_path / "holiday"
    (folder / "day 1").mkdir(parents=True)
    for number in range(70):
        place = folder / "day 1" if number % 2 else folder
        (place / f"{number}.jpg").write_bytes(drawn())
    (folder / "notes.txt").write_text("Dear diary")
    page = visitor.open(idle.url)
    drop(page, folder)
    page.wait_for_url("**/jobs/*")
    expect(page.locator("[data-live=total]")).to_have_text("70")
    expect(page.get_by_text("1 file", exact=True)).to_be_visible()
    found = idle.store.page(limit=10)
    assert [job.progress.sealed for job in found.jobs] == [True]


def test_many_dropped_files_become_one_batch(idle: Idle, visitor: Visitor, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.jpg" for number in range(3)]
    for file in files:
        file.write_bytes(drawn())
    page = visitor.open(idle.url)
    drop(page, *files)
    page.wait_for_url("**/jobs/*")
    expect(page.locator("[data-live=total]")).to_have_text("3")


def test_a_busy_server_costs_a_dropped_folder_nothing(
    idle: Idle, visitor: Visitor, tmp_path: Path
) -> None:
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(drawn())
    page = visitor.open(idle.url)
    tries: list[str] = []

    def refuse_twice(route: Route) -> None:
        tries.append(route.request.url)
        if len(tries) == 1:
            route.fulfill(status=503, headers={"Retry-After": "1"}, json={})
        elif len(tries) == 2:
            route.abort()
        else:
            route.continue_()

    page.route("**/images", refuse_twice)
    drop(page, *sorted(tmp_path.glob("*.jpg")))
    page.wait_for_url("**/jobs/*")
    expect(page.locator("[data-live=total]")).to_have_text("3")
    assert len(tries) == 3
    assert len(visitor.errors) == 2  # what a browser says of both
    visitor.errors.clear()


def test_a_file_that_has_gone_is_named(idle: Idle, visitor: Visitor, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.jpg" for number in range(2)]
    for file in files:
        file.write_bytes(drawn())
    page = visitor.open(idle.url)

    def take_away(route: Route) -> None:
        files[1].unlink()
        route.continue_()

    page.route("**/v1/batches", take_away)
    drop(page, *files)
    expect(page.locator("#verdict")).to_contain_text("The file 1.jpg cannot be read.")
    visitor.errors.clear()  # what a browser says of it


def test_an_empty_folder_is_said_in_place(idle: Idle, visitor: Visitor, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    page = visitor.open(idle.url)
    drop(page, tmp_path / "empty")
    expect(page.locator("#verdict")).to_have_text("There are no files in empty.")


def test_the_url_of_a_job_serves_programs_too(idle: Idle, visitor: Visitor) -> None:
    job = idle.submit(drawn())
    page = visitor.open(f"{idle.url}/jobs/{job}", viewport={"width": 360, "height": 740})
    url = page.locator("#job-url").input_value()
    answer = httpx.get(url, headers={"Accept": "application/json"})
    assert answer.json() == httpx.get(f"{idle.url}/v1/jobs/{job}").json()
    page.get_by_text("Use this from code").click()
    expect(page.locator(".from-code code").first).to_have_text(f"curl {idle.url}/v1/jobs/{job}")
    expect_no_sideways_scrolling(page)
    page.goto(idle.url)
    page.get_by_text("Use this from code").click()
    command = f"./permafrost classify photo.jpg --model cats-dogs --server {idle.url}"
    expect(page.locator(".from-code code").nth(1)).to_have_text(command)
    expect_no_sideways_scrolling(page)

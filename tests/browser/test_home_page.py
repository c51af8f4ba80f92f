"""The page that takes photographs, in a real browser, against the whole system."""

import base64
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.support.system import System

PERCENT = re.compile(r"\d+\.\d%")
PHONE = {"width": 390, "height": 844}

# Gives the page a file as a drop or a paste does.
HAND_OVER = """([kind, name, content]) => {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name, {type: "image/jpeg"}));
    const options = {bubbles: true, cancelable: true};
    document.getElementById("drop").dispatchEvent(
        kind === "paste"
            ? new ClipboardEvent(kind, {...options, clipboardData: data})
            : new DragEvent(kind, {...options, dataTransfer: data}));
}"""


def expect_prediction(page: Page) -> None:
    expect(page.locator("#outcome .bars__row .bar__fill")).not_to_have_count(0)
    expect(page.locator("#verdict")).to_have_text(PERCENT)


def test_a_chosen_photograph_is_shown_and_classified_at_once(
    system: System, visitor: Visitor, photograph: Path
) -> None:
    page = visitor.open(system.url)
    models = page.locator("select#model")
    if models.count():  # other tests have published more
        models.select_option("cats-dogs")
    page.set_input_files("#image", photograph)
    expect(page.locator("#preview")).to_be_visible()
    expect_prediction(page)
    best = page.locator("#outcome .bars__row").first
    expect(best.locator(".bars__label")).to_have_text(re.compile(r"\w"))
    expect(best).to_have_attribute("title", re.compile(r": 0\.\d{3,}|: 1"))
    expect(page.locator("[data-facts]")).to_have_text(
        re.compile(r"cats-dogs@\d+, waited [\d.]+ m?s")
    )

    verdict = page.locator("#verdict").inner_text()
    page.goto(page.locator("#job-url").input_value())
    expect(page.locator(".verdict")).to_have_text(re.compile(re.escape(verdict.split()[0])))
    assert page.evaluate("document.querySelector('.photograph img').naturalWidth") > 0
    page.get_by_role("link", name="The job as JSON").click()
    assert '"status":"succeeded"' in page.content()


@pytest.mark.parametrize("kind", ["drop", "paste"])
def test_a_photograph_can_be_dropped_and_pasted(
    system: System, visitor: Visitor, photograph: Path, kind: str
) -> None:
    page = visitor.open(system.url)
    content = base64.b64encode(photograph.read_bytes()).decode()
    page.evaluate(HAND_OVER, [kind, "cat.jpg", content])
    expect(page.locator("#preview")).to_be_visible()
    expect_prediction(page)


def test_photographs_before_this_one_stay_in_view(
    system: System, visitor: Visitor, photograph: Path
) -> None:
    page = visitor.open(system.url)
    for number in range(3):
        with page.expect_file_chooser() as chooser:
            page.locator("#image").click()
        chooser.value.set_files(photograph)  # the same one again is one more to classify
        expect(page.locator("#visit-list > li")).to_have_count(number)
        expect_prediction(page)
    cards = page.locator("#visit-list > li")
    expect(cards.locator(".shot__verdict")).to_have_text([PERCENT, PERCENT])
    page.get_by_role("button", name="Classify again").click()
    expect(cards).to_have_count(3)
    expect_prediction(page)
    cards.first.get_by_role("link").click()
    expect(page.locator(".bars__row").first).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Classify a photograph")).to_be_visible()


def test_what_is_no_image_is_said_in_place(system: System, visitor: Visitor) -> None:
    visitor.refusals.add(415)
    page = visitor.open(system.url)
    page.set_input_files(
        "#image", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"Dear diary"}
    )
    expect(page.locator("#verdict")).to_contain_text("text and not an image")
    expect(page.locator("#name")).to_have_text("notes.txt")
    expect(page.locator("#outcome .bars")).to_have_count(0)


def test_a_damaged_image_is_said_in_place(
    system: System, visitor: Visitor, photograph: Path
) -> None:
    page = visitor.open(system.url)
    half = photograph.read_bytes()[: photograph.stat().st_size // 2]
    page.set_input_files("#image", {"name": "half.jpg", "mimeType": "image/jpeg", "buffer": half})
    expect(page.locator("#verdict")).to_contain_text("cut off before its last pixel")
    page.goto(page.locator("#job-url").input_value())
    expect(page.locator(".notice--error")).to_contain_text("cut off before its last pixel")


def test_a_photograph_over_the_limit_is_not_sent(
    system: System, visitor: Visitor, photograph: Path
) -> None:
    page = visitor.open(system.url)
    page.evaluate("document.getElementById('classify').dataset.maxBytes = 1048576")
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.method))
    content = photograph.read_bytes() + bytes(2 * 2**20)
    page.set_input_files("#image", {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": content})
    expect(page.locator("#verdict")).to_contain_text("MiB; at most 1 MiB are accepted.")
    assert "POST" not in sent


def test_a_server_that_is_gone_is_said_in_place(
    system: System, visitor: Visitor, photograph: Path
) -> None:
    page = visitor.open(system.url)
    page.route("**/*", lambda route: route.abort("connectionrefused"))
    page.set_input_files("#image", photograph)
    expect(page.locator("#verdict")).to_contain_text("The server did not answer.")
    page.unroute("**/*")
    visitor.errors.clear()  # that the connection was refused, which is the point here
    page.get_by_role("button", name="Classify again").click()
    expect_prediction(page)


def test_the_keyboard_is_enough(system: System, visitor: Visitor, photograph: Path) -> None:
    page = visitor.open(system.url, permissions=["clipboard-read", "clipboard-write"])
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator("#image")).to_be_focused()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(photograph)
    expect_prediction(page)
    links = page.locator(".studio__assumption:visible a").count()  # of a model that assumes things
    for _ in range(5 + links):  # model, labels, button, URL, copy
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Copied")).to_be_focused()
    url = page.evaluate("navigator.clipboard.readText()")
    assert url == page.locator("#job-url").input_value()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_url(url)
    expect(page.locator(".bars__row").first).to_be_visible()


def test_it_works_without_javascript(system: System, visitor: Visitor, photograph: Path) -> None:
    page = visitor.open(system.url, java_script_enabled=False)
    page.set_input_files("#image", photograph)
    page.get_by_role("button", name="Classify").click()
    page.wait_for_url("**/jobs/*")
    expect(page.locator(".bars__row").first).to_have_text(PERCENT)
    expect(page.get_by_role("img", name="The photograph of this job")).to_be_visible()


def test_without_javascript_the_form_comes_back_with_what_is_wrong(
    system: System, visitor: Visitor
) -> None:
    visitor.refusals.add(415)
    page = visitor.open(system.url, java_script_enabled=False)
    page.set_input_files(
        "#image", {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"Dear diary"}
    )
    page.get_by_role("button", name="Classify").click()
    expect(page.get_by_role("alert")).to_contain_text("text and not an image")
    expect(page.locator("#image")).to_be_visible()


@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_has_nothing_to_scroll_sideways(
    system: System, visitor: Visitor, photograph: Path, width: int
) -> None:
    page = visitor.open(system.url, viewport={**PHONE, "width": width})
    page.set_input_files("#image", photograph)
    expect_prediction(page)
    job = page.locator("#job-url").input_value()
    for url in (None, job, *(f"{system.url}/{name}" for name in ("jobs", "models", "workers"))):
        if url:
            page.goto(url)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, (url, wide)


def test_the_other_pages_lead_to_what_they_name(system: System, visitor: Visitor) -> None:
    page = visitor.open(system.url)
    for name in ("Workers", "Models", "Jobs"):
        page.get_by_role("navigation").get_by_role("link", name=name).click()
        expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()
    page.get_by_label("Kind").select_option("freeze")
    page.get_by_role("button", name="Show").click()
    while (older := page.get_by_role("link", name="Older")).count():  # the demo's is the first
        with page.expect_navigation():
            older.click()
    page.get_by_role("link", name=re.compile("Freeze")).last.click()
    expect(page.get_by_role("heading", name="Freeze of cats-dogs")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the graph").click()
    assert download.value.suggested_filename == "cats-dogs-1.pb"

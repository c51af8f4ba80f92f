"""How pages and static files are answered: headers, problems, and a Redis that is not there."""

from pathlib import Path

import pytest
from flask.testing import FlaskClient

from api import pages
from tests.support.page_document import Document
from tests.support.shown_pages import ID

FOLDER = Path(pages.__file__).parent
STATIC = sorted((FOLDER / "static").iterdir())
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


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

"""What the tests of the pages share: an application that needs no Redis."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api import create_app
from tests.support.shown_pages import ID
from worker.settings import Settings


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

"""What the tests of the API have in common."""

from collections.abc import Iterator

import pytest
import redis
from flask.testing import FlaskClient

from tests.support.api import web_client
from worker.settings import Settings


@pytest.fixture
def web(settings: Settings, client: redis.Redis) -> Iterator[FlaskClient]:
    """Give a client of the application, in front of a Redis that is empty."""
    with web_client(settings) as web:
        yield web

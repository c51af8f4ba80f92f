"""What the tests of the job store have in common."""

import pytest
import redis

from tests.support.work import Work
from worker.settings import Settings


@pytest.fixture
def work(client: redis.Redis, settings: Settings) -> Work:
    return Work(client, settings)

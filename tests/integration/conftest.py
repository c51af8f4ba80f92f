"""What tests with a real Redis have in common."""

import pytest
import redis

from tests.support.work import Work
from worker.settings import Settings


@pytest.fixture
def work(client: redis.Redis, settings: Settings) -> Work:
    """Give what stands for the API and for workers beside the job store."""
    return Work(client, settings)

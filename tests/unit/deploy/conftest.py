"""What the tests of the local system share."""

from pathlib import Path

import pytest

from deploy.local.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "data")
    layout.prepare()
    return layout

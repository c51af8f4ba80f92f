"""The demo model that a local system freezes at its first start."""

from pathlib import Path
from typing import Any

import pytest

from api.client.reading import any_job
from deploy.local import demo
from tests.support.command_line import job
from worker.contract.jobs import AnyJob


class FakeClient:
    """A server as far as the demo model needs one."""

    def __init__(self, statuses: list[str]) -> None:
        self.statuses = statuses
        self.sent: list[Any] = []

    def _job(self) -> AnyJob:
        status = self.statuses.pop(0)
        error = {"code": "bad_source", "message": "It lacks y_pred."}
        return freeze_job(status, error=error if status == "failed" else None)

    def freeze(self, source: Path, **options: Any) -> AnyJob:
        self.sent.append((source, options))
        return self._job()

    def job(self, _: AnyJob) -> AnyJob:
        return self._job()


def freeze_job(status: str, **fields: Any) -> AnyJob:
    return any_job(job("f1", status, kind="freeze", model=None, **fields))


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in demo.FILES:
        (tmp_path / name).touch()
    monkeypatch.setattr(demo, "FOLDER", tmp_path)
    return tmp_path


def test_the_demo_model_is_sent_as_any_user_would(checkpoint: Path) -> None:
    client: Any = FakeClient(["queued", "running", "succeeded"])
    assert list(demo.freeze(client)) == ["queued", "running"]
    source, options = client.sent[0]
    assert source == checkpoint
    assert options["set"] == {"is_training": False, "keep_prob": 1.0}


def test_a_failed_demo_model_says_why(checkpoint: Path) -> None:
    client: Any = FakeClient(["queued", "failed"])
    with pytest.raises(demo.DemoError, match="It lacks y_pred"):
        list(demo.freeze(client))


def test_a_demo_model_that_an_earlier_start_sent_is_known_again(checkpoint: Path) -> None:
    client: Any = FakeClient(["queued", "succeeded", "running", "succeeded"])
    assert list(demo.freeze(client)) == ["queued"]
    assert list(demo.freeze(client)) == ["running"]
    first, second = (options["key"] for _, options in client.sent)
    assert first == second
    (checkpoint / demo.FILES[0]).write_text("another")
    client.statuses = ["queued", "succeeded"]
    list(demo.freeze(client))
    assert client.sent[-1][1]["key"] != first


def test_a_demo_model_whose_freeze_ended_long_ago_is_frozen_anew(checkpoint: Path) -> None:
    client: Any = FakeClient(["failed", "queued", "succeeded"])
    assert list(demo.freeze(client)) == ["queued"]
    assert "key" not in client.sent[-1][1]


def test_a_checkpoint_that_is_not_there_is_named(checkpoint: Path) -> None:
    (checkpoint / "cats-dogs.index").unlink()
    with pytest.raises(demo.DemoError, match=r"lacks cats-dogs\.index"):
        list(demo.freeze(FakeClient([])))  # type: ignore[arg-type] # only what is asked of it

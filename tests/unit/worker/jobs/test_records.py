"""Records: what a job is and how it is shown."""

import pytest

from worker.contract.base import as_json
from worker.jobs.presentation import job_answer
from worker.jobs.records import (
    ENDED,
    Item,
    Job,
    JobProgress,
    Kind,
    Lane,
    PinnedModel,
    Status,
    rfc3339,
)
from worker.jobs.tickets import TASKS


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (None, None),
        (0, "1970-01-01T00:00:00.000Z"),
        (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
        (1_700_000_000_000, "2023-11-14T22:13:20.000Z"),
    ],
)
def test_times_are_written_as_rfc_3339_in_utc(milliseconds: int | None, text: str | None) -> None:
    assert rfc3339(milliseconds) == text


def test_three_states_are_ends() -> None:
    assert {Status.SUCCEEDED, Status.FAILED, Status.CANCELLED} == ENDED
    assert [status.ended for status in Status] == [False, False, True, True, True]


def test_every_lane_has_a_task() -> None:
    assert set(TASKS) == set(Lane)


def test_an_item_is_named_by_its_job_and_its_number() -> None:
    assert Item("abc", 7, 2).key == "abc:7"


def test_a_job_is_shown_as_the_contract_says() -> None:
    job = Job(
        id="id",
        kind=Kind.PREDICTION,
        status=Status.SUCCEEDED,
        model=PinnedModel(name="cats-dogs", version=1, sha256="ab"),
        created_ms=0,
        started_ms=1,
        finished_ms=2,
        expires_ms=3,
        progress=JobProgress(total=1, succeeded=1, failed=0),
        attempts=1,
        result={"predictions": []},
        error=None,
        options={"top": 5},
    )
    assert as_json(job_answer(job)) == {
        "id": "id",
        "kind": "prediction",
        "status": "succeeded",
        "model": {"name": "cats-dogs", "version": 1, "sha256": "ab"},
        "created_at": "1970-01-01T00:00:00.000Z",
        "started_at": "1970-01-01T00:00:00.001Z",
        "finished_at": "1970-01-01T00:00:00.002Z",
        "expires_at": "1970-01-01T00:00:00.003Z",
        "progress": {"total": 1, "succeeded": 1, "failed": 0},
        "result": {"predictions": []},
        "error": None,
        "attempts": 1,
        "links": {"self": "/v1/jobs/id", "results": None, "events": "/v1/jobs/id/events"},
    }

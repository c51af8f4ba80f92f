"""Freezes the demo model through the queue, like any user would."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from api.client import JsonClient, LocalFile, ServerError, ServerUnreachableError
from worker.errors import PermafrostError

FOLDER = Path(__file__).resolve().parents[1] / "demo" / "checkpoint"
NAME = "cats-dogs"
FILES = ("checkpoint", f"{NAME}.meta", f"{NAME}.index", f"{NAME}.data-00000-of-00001")
OPTIONS = {
    "name": NAME,
    "outputs": ["y_pred"],
    "set": {"is_training": False, "keep_prob": 1.0},
    "labels": ["cat", "dog"],
    "preprocessing": {"preset": "zero_one"},
    "scores": "probabilities",
}


class DemoError(PermafrostError):
    """The demo model cannot be frozen; the message says why."""

    code = "demo_failed"


def published(client: JsonClient) -> bool:
    """Tell whether the registry has the demo model."""
    try:
        client.model(NAME)
    except ServerError as error:
        if error.status == 404:
            return False
        raise
    return True


def freeze(client: JsonClient) -> Iterator[str]:
    """Submit the checkpoint and yield the job's status until it is frozen.

    Raises `DemoError` where that fails. The caller waits between two steps.
    """
    missing = [name for name in FILES if not (FOLDER / name).is_file()]
    if missing:
        raise DemoError(f"{FOLDER} lacks {', '.join(missing)}")
    files = [LocalFile(path=FOLDER / name, name=name) for name in FILES]
    job = _unfinished(client) or client.freeze_upload(files, OPTIONS)
    while job["status"] in ("queued", "running"):
        yield str(job["status"])
        try:
            job = client.job(job["id"])
        except ServerUnreachableError:
            continue  # the API is being started again; the job is safe
    if job["status"] != "succeeded":
        error = job.get("error") or {}
        raise DemoError(str(error.get("message") or f"the job was {job['status']}"))


def _unfinished(client: JsonClient) -> dict[str, Any] | None:
    """Return the freeze that an earlier `up` submitted and did not see the end of."""
    for status in ("running", "queued"):
        for job in client.jobs(kind="freeze", status=status)["jobs"]:
            if (job.get("model") or {}).get("name") == NAME:
                return dict(job)
    return None

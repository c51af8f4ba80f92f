"""Freezes the demo model through the queue, like any user would."""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from api.client import Client, ServerError, ServerUnreachableError
from worker.contract.jobs import AnyJob
from worker.errors import PermafrostError

FOLDER = Path(__file__).resolve().parents[1] / "demo" / "checkpoint"
NAME = "cats-dogs"
FILES = ("checkpoint", f"{NAME}.meta", f"{NAME}.index", f"{NAME}.data-00000-of-00001")
OPTIONS: dict[str, Any] = {
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


def published(client: Client) -> bool:
    """Tell whether the registry has the demo model."""
    try:
        client.model(NAME)
    except ServerError as error:
        if error.status == 404:
            return False
        raise
    return True


def freeze(client: Client) -> Iterator[str]:
    """Submit the checkpoint and yield the job's status until it is frozen.

    Raises `DemoError` where that fails. The caller waits between two steps.
    """
    missing = [name for name in FILES if not (FOLDER / name).is_file()]
    if missing:
        raise DemoError(f"{FOLDER} lacks {', '.join(missing)}")
    job: AnyJob = client.freeze(FOLDER, **OPTIONS, key=_key())
    if job.status.ended:  # long ago: it failed, or what it published was taken away
        job = client.freeze(FOLDER, **OPTIONS)
    while not job.status.ended:
        yield job.status
        with contextlib.suppress(ServerUnreachableError):  # it is started again; the job is safe
            job = client.job(job)
    if job.status != "succeeded":
        raise DemoError(job.error.message if job.error else f"the job was {job.status}")


def _key() -> str:
    """Return the idempotency key of this freeze: the same for the same files and options."""
    digest = hashlib.sha256(json.dumps(OPTIONS).encode())
    for name in FILES:
        digest.update((FOLDER / name).read_bytes())
    return f"demo {digest.hexdigest()}"

"""One image: a prediction, and what it says."""

from pathlib import Path

from api.client import reading
from api.client.connection import Connection
from api.client.forms import Streamed
from api.client.operations.jobs import states
from api.client.operations.submitting import given, submitted
from api.client.steps import Json, ReadBy, Steps, altered

_BYTES = {"Content-Type": "application/octet-stream"}
_HOLD_S = 30.0  # for which a server is asked to hold its answer

Image = str | Path | bytes


@ReadBy(reading.prediction_job)
def predict(
    connection: Connection,
    image: Image,
    *,
    model: str | None = None,
    top: int | None = None,
    webhook: str | None = None,
    wait_s: float = 0,
    key: str | None = None,
) -> Steps[Json]:
    """Submit one image, a file or its bytes, and return its job; with `wait_s`, perhaps ended.

    `model`: `NAME`, `NAME@VERSION` or `NAME@ALIAS`; may be left out where there is one model only.
    `webhook`: an address that the server tells when the job has ended.
    """
    body = image if isinstance(image, bytes) else Streamed([Path(image)])
    job = yield from submitted(
        connection,
        "/v1/predictions",
        body=body,
        params=given(model=model, top=top, webhook=webhook),
        headers=_BYTES,
        key=key,
        wait_s=wait_s,
    )
    return job


@ReadBy(reading.classification)
def classify(
    connection: Connection,
    image: Image,
    *,
    model: str | None = None,
    top: int | None = None,
    within_s: float | None = 300.0,
) -> Steps[Json]:
    """Return what a model says of one image, a file or its bytes.

    Raises `JobError` where the image cannot be classified, `NotEndedError` where that takes longer
    than `within_s` seconds (None: for ever).
    """
    began = connection.clock()
    hold = _HOLD_S if within_s is None else min(_HOLD_S, within_s)
    job = yield from predict.steps(connection, image, model=model, top=top, wait_s=hold)
    if within_s is not None:
        within_s = max(0.0, within_s - (connection.clock() - began))
    seen = states(connection, job, hold_s=_HOLD_S, within_s=within_s)
    return (yield from altered(seen, lambda _: ()))

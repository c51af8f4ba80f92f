"""How many bytes a submission may bring, and whether to read a large one at all."""

from typing import Final

from flask import current_app, request

from api.access.clients import client
from api.services import services
from worker.jobs.records import Lane
from worker.settings import Settings

OPTIONS_BYTES: Final = 8 * 1024 * 1024  # beside the files of a model: the labels of a large one fit
_LANES: Final = {
    "predictions.create": Lane.INTERACTIVE,
    "batches.create": Lane.BULK,
    "sources.freeze": Lane.FREEZING,
    "sources.inspect": Lane.FREEZING,
}


def most_bytes(settings: Settings) -> int:
    """Return how many bytes the body of Flask's request may have."""
    endpoint = request.endpoint
    if endpoint in ("sources.freeze", "sources.inspect"):
        return settings.max_model_bytes + OPTIONS_BYTES
    if endpoint in ("batches.create", "batches.add"):
        return settings.max_request_bytes
    return int(current_app.config["MAX_CONTENT_LENGTH"])


def check_accepting() -> None:
    """Raise where the job of Flask's request would not be accepted; asks Redis."""
    lane = _LANES.get(str(request.endpoint))
    if lane is not None:
        brings = request.content_length or 0 if lane is Lane.FREEZING else 0
        services().check_accepting(lane, client(), brings)

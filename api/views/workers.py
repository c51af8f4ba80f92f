"""`GET /v1/workers`: the worker processes."""

from flask import Blueprint, Response

from api.http.answers import json_response
from api.services import services
from worker.contract.base import built
from worker.contract.workers import WorkerList

blueprint = Blueprint("workers", __name__)


@blueprint.get("/v1/workers")
def index() -> Response:
    """List worker processes: pid, host, queues, graphs with their `loads`, memory, items done.

    `confinement` says what keeps a process that classifies from the rest of its machine
    (`in_force`), and what cannot (`missing`, each with its reason).
    """
    return json_response(built(WorkerList, workers=services().roster.read()))

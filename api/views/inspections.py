"""`POST /v1/inspections`: say what is in a source, and what to freeze of it."""

from flask import Blueprint, Response

from api.submissions.sources import submit_source
from worker.jobs.records import Kind

blueprint = Blueprint("inspections", __name__)


@blueprint.post("/v1/inspections")
def create() -> Response:
    """Look into a trained model: what it holds, what to freeze of it, what freezing would drop.

    JSON with `source`, a path under the server's sources root, or multipart with its `files` or
    an `archive`; the fields `signature` and `checkpoint` choose where a source holds several, in a
    form as one field `options` (JSON). Nothing of the source is run. `Idempotency-Key` makes a
    repetition return the first job.
    """
    return submit_source(Kind.INSPECTION)

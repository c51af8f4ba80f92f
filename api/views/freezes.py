"""`POST /v1/freezes`: freeze a model, from a path on the server or from uploaded files."""

from flask import Blueprint, Response

from api.submissions.sources import submit_source
from worker.jobs.records import Kind

blueprint = Blueprint("freezes", __name__)


@blueprint.post("/v1/freezes")
def create() -> Response:
    """Freeze a trained model and publish it.

    JSON with `source`, a path under the server's sources root, or multipart with all `files` of a
    model or one `archive` (zip, tar, tar.gz) of them, and the same fields, less `source`, as one
    form field `options` (JSON). Names of files may hold folders (`variables/variables.index`).
    `labels` may be a list, the text of a file with one per line, JSON, CSV or a label map, or such
    a file itself. Without it labels are taken that lie beside the model (`labels.txt`,
    `class_indices.json` and the like), if there is one for each class.
    Images sent as `samples` are used to verify, also beside a `source` in `options`.
    `Idempotency-Key` makes a repetition return the first job.
    """
    return submit_source(Kind.FREEZE)

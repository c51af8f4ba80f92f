"""`POST /v1/comparisons`: what a model answers where images are prepared otherwise."""

from pathlib import PurePosixPath
from typing import BinaryIO, cast

from flask import Blueprint, Response, request
from werkzeug.datastructures import FileStorage

from api.access.clients import client
from api.http.answers import respond_to_submission
from api.http.parameters import preferred_wait
from api.services import services
from api.submissions.models import resolve_model, top_of
from api.submissions.sources import accept_files, size_of
from api.submissions.webhooks import webhook_of
from worker.contract.source_requests import ComparisonRequest
from worker.errors import InvalidRequestError, TooLargeError, UnsupportedMediaError
from worker.formatting import binary_size
from worker.images.kinds import HEAD, refusal, sniff
from worker.jobs.records import Kind, Lane
from worker.models.comparison import MOST_COMPARED

blueprint = Blueprint("comparisons", __name__)

_OTHER_BYTES = 64 * 1024  # of the form, beside the images


@blueprint.post("/v1/comparisons")
def create() -> Response:
    """Ask a model for its answers under each way of preparing images that may be meant.

    Multipart with up to eight files `images` and fields `model`, `top`, `webhook`. The result holds
    the `ways`, first the one that is served, each with its answers and the command that makes it
    the model's.
    """
    preferred_wait()  # raises for a bad value before anything is accepted
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaError("Send multipart/form-data with `images` and `model`.")
    services().check_accepting(Lane.FREEZING, client(), request.content_length or 0)
    settings = services().settings
    request.max_content_length = MOST_COMPARED * settings.max_image_bytes + _OTHER_BYTES
    request.max_form_parts = MOST_COMPARED + 10
    fields = {**request.args.to_dict(), **request.form.to_dict()}
    webhook_of(fields.get("webhook"))  # raises for a bad value before anything is stored
    files = [(_name(place, file.filename), file) for place, file in enumerate(_images())]
    manifest = resolve_model(fields.get("model"))
    asked = ComparisonRequest(
        model=manifest.name,
        version=manifest.version,
        sha256=manifest.sha256,
        digest=manifest.digest,
        top=top_of(fields.get("top")),
        webhook=fields.get("webhook"),
    )
    streams = [(name, cast("BinaryIO", file.stream)) for name, file in files]
    for name, stream in streams:
        if size_of(stream) > settings.max_image_bytes:
            raise TooLargeError(
                f"'{PurePosixPath(name).name[:80]}' is larger than "
                f"{binary_size(settings.max_image_bytes)}."
            )
        head = stream.read(HEAD)
        stream.seek(0)
        if sniff(head) is None:
            raise refusal(head)
    accepted = accept_files(Kind.COMPARISON, asked, streams)
    return respond_to_submission(accepted.job_id, accepted.job)


def _images() -> list[FileStorage]:
    images = request.files.getlist("images")
    if not 0 < len(images) <= MOST_COMPARED:
        raise InvalidRequestError(
            f"The form has {len(images)} files named `images`; send 1 to {MOST_COMPARED}."
        )
    return images


def _name(place: int, name: str | None) -> str:
    """Return the name under which an image is stored, in a folder that keeps the order."""
    return f"{place:02}/{PurePosixPath(name or '').name or 'image'}"

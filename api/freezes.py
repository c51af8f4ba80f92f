"""`POST /v1/freezes`: freeze a model, from a path on the server or from uploaded files."""

import json
import os
from typing import BinaryIO, cast

from apiflask import APIBlueprint
from flask import Response, request

from api.answers import preferred_wait, submitted
from api.bodies import parse_json
from api.idempotency import idempotency
from api.kernel import kernel
from worker.errors import InvalidRequestError, UnsupportedMediaError
from worker.jobs.records import Kind, Lane
from worker.jobs.requests import FreezeRequest
from worker.jobs.store import Accepted, Submission, new_job_id
from worker.jobs.uploads import MOST_FILES, StoredFile, drop_files, store_files

blueprint = APIBlueprint("freezes", __name__)

_OPTIONS_BYTES = 8 * 1024 * 1024  # labels of a large model fit
_OTHER_PARTS = 10  # of the form, beside the files


@blueprint.post("/v1/freezes")
@blueprint.doc(
    tags=["freezes"],
    responses={202: "The job was accepted", 200: "The job has ended within the preferred wait"},
)
def create() -> Response:
    """Freeze a trained model and publish it.

    JSON with `source`, a path under the server's sources root, or multipart with all `files` of a
    checkpoint and the same fields, less `source`, as one form field `options` (JSON).
    `Idempotency-Key` makes a repetition return the first job.
    """
    preferred_wait()  # a bad one is refused before anything is accepted
    kernel().check_open(Lane.FREEZING)
    request.max_content_length = _OPTIONS_BYTES
    if request.mimetype == "multipart/form-data":
        request.max_content_length = kernel().settings.max_model_bytes + _OPTIONS_BYTES
        request.max_form_memory_size = _OPTIONS_BYTES
        request.max_form_parts = MOST_FILES + _OTHER_PARTS
        return _from_upload()
    if request.mimetype != "application/json":
        raise UnsupportedMediaError(
            "Send JSON with `source`, or multipart/form-data with `files` and `options`."
        )
    asked = FreezeRequest.parse(parse_json(request.get_data(as_text=True)))
    if asked.source is None:
        raise InvalidRequestError("source: name the model's path under the server's sources root.")
    accepted = _accept(asked)
    return submitted(accepted.job_id, accepted.job)


def _from_upload() -> Response:
    options = request.form.get("options")
    if options is None:
        raise InvalidRequestError("The form has no field `options` (JSON, with at least `name`).")
    asked = FreezeRequest.parse(parse_json(options))
    if asked.source is not None:
        raise InvalidRequestError("source: leave it out where files are uploaded.")
    files = [
        (file.filename or "", cast("BinaryIO", file.stream))
        for file in request.files.getlist("files")
    ]
    kernel().check_room(sum(_size(stream) for _, stream in files))
    job_id = new_job_id()
    stored = store_files(kernel().client, job_id, files, kernel().settings.max_model_bytes)
    try:
        accepted = _accept(asked, job_id=job_id, files=stored)
    except BaseException:
        drop_files(kernel().client, job_id, stored)
        raise
    return submitted(accepted.job_id, accepted.job)


def _size(stream: BinaryIO) -> int:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    return size


def _accept(
    asked: FreezeRequest, *, job_id: str | None = None, files: tuple[StoredFile, ...] = ()
) -> Accepted:
    options = asked.model_dump(mode="json")
    marks = json.dumps([options, [(file.name, file.size) for file in files]], sort_keys=True)
    digest, fingerprint = idempotency(Kind.FREEZE, marks.encode())
    accepted = kernel().submit(
        Submission(
            kind=Kind.FREEZE,
            lane=Lane.FREEZING,
            options=options,
            job_id=job_id,
            files=files,
            idempotency_digest=digest,
            fingerprint=fingerprint,
        )
    )
    if job_id and not accepted.created:  # a repetition: the first job has its own files
        drop_files(kernel().client, job_id, files)
    return accepted

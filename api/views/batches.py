"""`/v1/batches`: many images, one job."""

import json
import sys
from collections import deque
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, BinaryIO, cast

from flask import Blueprint, Response, request, stream_with_context

from api.access import identity
from api.access.clients import client
from api.http.answers import json_response, respond_to_submission
from api.http.multipart import FormField, FormFile, request_parts
from api.http.parameters import json_body, preferred_wait
from api.http.tabular import csv_lines, json_lines, readable, row_json
from api.services import services
from api.submissions.batch_upload import FILES, WHOLE, BatchUpload
from api.submissions.batches import accept_batch, fill_batch
from worker.archives import ArchiveLimits, examine
from worker.contract.batches import (
    Added,
    Common,
    FolderBatchRequest,
    OpenBatchRequest,
    ResultsQuery,
)
from worker.errors import ConflictError, InvalidRequestError, NotFoundError, UnsupportedMediaError
from worker.images.folders import find_folder
from worker.jobs.keys import check_job_id
from worker.jobs.records import Job, Kind, Lane, Origin
from worker.jobs.submissions import Accepted
from worker.printable import no_field

blueprint = Blueprint("batches", __name__)

_FIELDS = ("model", "top", "webhook")


@blueprint.post("/v1/batches")
def create() -> Response:
    """Classify many images.

    Multipart with any number of files `images` or an `archive` (zip, tar, tar.gz); JSON with
    `folder`, a path under a folders root (`recursive`, `patterns`); or JSON with `"open": true`, to
    add images in deferred requests and seal the batch after. `model`, `top` and `webhook` as JSON
    members, in the query, or as form fields before the first file.
    """
    preferred_wait()  # raises for a bad value before anything is accepted
    services().check_accepting(Lane.BULK, client())
    if request.mimetype == "multipart/form-data":
        return _from_upload()
    if request.mimetype != "application/json":
        raise UnsupportedMediaError(
            "Send multipart/form-data with `images` or `archive`, or JSON with `folder`."
        )
    accepted = _from_json(json_body())
    return respond_to_submission(accepted.job_id, accepted.job)


@blueprint.post("/v1/batches/<job_id>/images")
def add(job_id: str) -> Response:
    """Add images to an open batch: multipart with `images` or an `archive`.

    A path that the batch has already is left out, so that a request can be sent again. Different
    pictures that have one name in the request get names of their own: `a.jpg`, `a (2).jpg`.
    """
    job = _open_batch(job_id)
    if job.progress.sealed or job.status.ended:
        raise ConflictError(f"Batch {job.id} takes no more images: it is sealed or has ended.")
    services().reserve_memory()
    if request.mimetype != "multipart/form-data":
        raise UnsupportedMediaError("Send multipart/form-data with `images` or an `archive`.")
    upload = BatchUpload(
        lambda images, _: services().batches.add(
            job.id, images, client_bytes=services().memory.client_bytes()
        ),
        rename_duplicates=True,
    )
    for part in _parts():
        if isinstance(part, FormField):
            raise _unknown(part.name, FILES)
        upload.take(part.name, part.filename, part.stream)
    upload.flush()
    answer = Added(added=upload.added, already=upload.already, skipped=upload.skipped)
    return json_response(answer)


@blueprint.get("/v1/batches/<job_id>/images")
def paths(job_id: str) -> Response:
    """List the paths of the images that a batch has, one JSON string per line."""
    job = _batch(job_id)
    found = services().batches.paths(job.id, job.progress.total)
    lines = (json.dumps(readable(path)) + "\n" for path in found)
    return Response(stream_with_context(lines), mimetype="application/jsonl")


@blueprint.post("/v1/batches/<job_id>/seal")
def seal(job_id: str) -> Response:
    """Say that nothing more is added; sealing twice changes nothing."""
    preferred_wait()  # raises for a bad value before anything is done
    services().batches.seal(_open_batch(job_id).id)
    return respond_to_submission(job_id)


@blueprint.post("/v1/batches/<job_id>/retry")
def retry(job_id: str) -> Response:
    """Queue the failed images again; what was classified stays."""
    preferred_wait()  # raises for a bad value before anything is done
    _, ticket_needed = services().batches.retry(_batch(job_id).id)
    if ticket_needed:
        services().send_ticket(Lane.BULK)
    return respond_to_submission(job_id)


@blueprint.get("/v1/batches/<job_id>/results")
def results(job_id: str) -> Response:
    """Stream finished images, while the batch runs too."""
    job = _batch(job_id)
    asked = ResultsQuery.parse(request.args.to_dict())
    model = job.model
    if model is None:
        raise NotFoundError(f"Batch {job_id} has no model.")
    batches, total = services().batches, job.progress.total
    order = batches.by_path(job.id, total) if asked.order == "path" else None
    found = batches.rows(job.id, total, wanted=asked.status, order=order)
    rows = (row_json(row, model) for row in found)
    as_table = asked.format == "csv"
    lines = csv_lines(rows, bom=asked.bom == "1") if as_table else json_lines(rows)
    mimetype = "text/csv" if as_table else "application/jsonl"
    response = Response(stream_with_context(lines), mimetype=mimetype)
    response.headers["Content-Disposition"] = f'inline; filename="{job.id}.{asked.format}"'
    return response


def _from_json(body: Any) -> Accepted:
    """Open a batch whose images come in deferred requests, or lie in a folder of the server."""
    fields = {name: value for name, value in _from_query().items() if name != "top"}
    if isinstance(body, dict) and "open" in body:
        asked: Common = OpenBatchRequest.parse({**fields, **body})
        return accept_batch(_common_fields(asked), {"open": True}, Origin.OPEN)
    if isinstance(body, dict) and "folder" not in body and not body.keys() - {*_FIELDS}:
        raise InvalidRequestError(
            'Name a `folder` under the server\'s folders root, or send `"open": true` to add '
            "images in deferred requests."
        )
    folder = FolderBatchRequest.parse({**fields, **body} if isinstance(body, dict) else body)
    find_folder(folder.folder, services().settings.folder_roots)
    options = folder.model_dump(include={"folder", "recursive", "patterns"})
    return accept_batch(_common_fields(folder), options, Origin.FOLDER)


def _common_fields(asked: Common) -> dict[str, Any]:
    """Return the fields that all submissions of images share, from the body or the query."""
    found = asked.model_dump(include={*_FIELDS}, exclude_none=True)
    return {**_from_query(), **found}


def _from_upload() -> Response:
    """Open a batch, take everything the request brings, and seal it."""
    fields = _from_query()
    found = _parts()
    for part in found:
        if isinstance(part, FormFile):
            break
        if part.name not in _FIELDS:
            raise _unknown(part.name, (*_FIELDS, *FILES))
        fields[part.name] = part.value
    else:
        raise InvalidRequestError("The form has no file: send `images` or an `archive`.")
    if part.name not in FILES:
        raise InvalidRequestError(
            f"The file field '{part.name[:40]}' is not known: use `images` or `archive`."
        )
    if part.name in WHOLE:  # raises for a bad archive before there is a batch
        examine(part.stream, ArchiveLimits.of(services().settings))
    accepted = accept_batch(fields, {}, Origin.REQUEST)
    if accepted.created:
        fill_batch(accepted.job_id, chain([part], found))
    else:  # a repetition: its body is read to the end, so that the client gets the answer
        deque(found, maxlen=0)
    return respond_to_submission(accepted.job_id)


def _parts() -> Iterator[FormField | FormFile]:
    # Streamed; each image has its own limit. (None would mean the application's.)
    request.max_content_length = sys.maxsize
    settings = services().settings
    return request_parts(
        cast("BinaryIO", request.stream),
        most_bytes=settings.max_image_bytes,
        whole=WHOLE,
        most_whole=ArchiveLimits.of(settings).archive_bytes,
    )


def _unknown(name: str, known: Iterable[str]) -> InvalidRequestError:
    """Return the error for a field of a form that does not exist."""
    if name in FILES:
        return InvalidRequestError(f"The field '{name}' holds text: send it as a file.")
    return InvalidRequestError(no_field("form", name, known))


def _from_query() -> dict[str, Any]:
    return {name: request.args[name] for name in _FIELDS if name in request.args}


def _batch(job_id: str) -> Job:
    job = services().store.get(check_job_id(job_id), owner=identity.owner())
    if job.kind is not Kind.BATCH:
        raise NotFoundError(f"Job {job_id} is no batch but a {job.kind}.")
    return job


def _open_batch(job_id: str) -> Job:
    job = _batch(job_id)
    if job.origin is not Origin.OPEN:
        raise ConflictError(
            f"Batch {job.id} was not opened for adding: it gets its images in another way."
        )
    return job

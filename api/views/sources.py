"""`POST /v1/freezes` and `POST /v1/inspections`: jobs that work on a source.

The source is a path on the server, or its files are sent. Freezes and inspections are submitted in
the same way and differ in their options.
"""

from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from flask import Blueprint, Response, request

from api.access.clients import client
from api.http.answers import respond_to_submission
from api.http.parameters import json_body, parse_json, preferred_wait
from api.services import services
from api.submissions.body_limits import OPTIONS_BYTES
from api.submissions.sources import accept_files, accept_source, size_of
from api.submissions.webhooks import webhook_of
from worker.archives import ArchiveLimits, examine, is_compressed_file
from worker.contract.source_requests import (
    MOST_SAMPLES,
    FreezeRequest,
    InspectionRequest,
    SourceFreezeRequest,
    SourceInspectionRequest,
)
from worker.errors import InvalidRequestError, TooLargeError, UnsupportedMediaError
from worker.formatting import binary_size
from worker.images.examples import MOST_EXAMPLES
from worker.jobs.records import Kind, Lane
from worker.jobs.uploads import EXAMPLES_FOLDER, MOST_FILES, SAMPLES_FOLDER
from worker.models.labels import parse_labels

blueprint = Blueprint("sources", __name__)

_OTHER_PARTS = 10  # of the form, beside the files

_REQUESTS: dict[Kind, type[InspectionRequest]] = {
    Kind.FREEZE: FreezeRequest,
    Kind.INSPECTION: InspectionRequest,
}
_WITH_SOURCE: dict[Kind, type[InspectionRequest]] = {
    Kind.FREEZE: SourceFreezeRequest,
    Kind.INSPECTION: SourceInspectionRequest,
}


@blueprint.post("/v1/freezes")
def freeze() -> Response:
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
    return _submit(Kind.FREEZE)


@blueprint.post("/v1/inspections")
def inspect() -> Response:
    """Look into a trained model: what it holds, what to freeze of it, what freezing would drop.

    JSON with `source`, a path under the server's sources root, or multipart with its `files` or
    an `archive`; the fields `signature` and `checkpoint` choose where a source holds several, in a
    form as one field `options` (JSON). Nothing of the source is run. `Idempotency-Key` makes a
    repetition return the first job.
    """
    return _submit(Kind.INSPECTION)


def _submit(kind: Kind) -> Response:
    preferred_wait()  # raises for a bad value before anything is accepted
    sent = (request.content_length or 0) if request.mimetype == "multipart/form-data" else 0
    services().check_accepting(Lane.FREEZING, client(), sent)
    request.max_content_length = OPTIONS_BYTES
    if request.mimetype == "multipart/form-data":
        request.max_content_length = services().settings.max_model_bytes + OPTIONS_BYTES
        request.max_form_memory_size = OPTIONS_BYTES
        request.max_form_parts = MOST_FILES + _OTHER_PARTS
        return _from_upload(kind)
    if request.mimetype != "application/json":
        raise UnsupportedMediaError(
            "Send JSON with `source`, or multipart/form-data with `files` or an `archive`, and "
            "`options`."
        )
    body = json_body()
    if isinstance(body, dict) and body.get("source") is None:
        raise InvalidRequestError("source: name the model's path under the server's sources root.")
    asked = _WITH_SOURCE[kind].parse(body)
    accepted = accept_source(kind, asked)
    return respond_to_submission(accepted.job_id, accepted.job)


def _from_upload(kind: Kind) -> Response:
    asked = _REQUESTS[kind].parse(_options(kind))
    webhook_of(asked.webhook)  # raises for a bad value before anything is stored
    files = _source_files()
    for folder in (SAMPLES_FOLDER, EXAMPLES_FOLDER):
        if any(name.startswith(f"{folder}/") for name, _ in files):
            raise InvalidRequestError(f"No file of a model may lie in a folder '{folder}'.")
    examples = _examples(asked)
    pictures = [*_samples(kind), *examples]
    if asked.source is not None and (files or not pictures):
        raise InvalidRequestError("source: leave it out where files are uploaded.")
    if asked.source is None and not files:
        raise InvalidRequestError("No file was sent: send the model's files as `files`.")
    files += pictures
    accepted = accept_files(kind, asked, files)
    return respond_to_submission(accepted.job_id, accepted.job)


def _source_files() -> list[tuple[str, BinaryIO]]:
    """Return names and contents of the model's files, or of the one archive that holds them."""
    files, archives = _files("files"), _files("archive")
    if len(archives) > 1 or (files and archives):
        raise InvalidRequestError("Send one `archive`, or the model's files as `files`.")
    for _, stream in archives:
        if not is_compressed_file(stream):  # else the worker unpacks it, within the same limits
            examine(stream, ArchiveLimits.of(services().settings))
        stream.seek(0)
    return [*files, *((name or "archive", stream) for name, stream in archives)]


def _labels(options: Any) -> Any:
    """Return the options with the labels of the form's file `labels`, if it has one."""
    file = request.files.get("labels")
    if file is None or not isinstance(options, dict):
        return options
    if options.get("labels") is not None:
        raise InvalidRequestError("labels: give them in `options` or as a file, not both.")
    called = file.filename or "labels"
    try:
        text = file.stream.read(OPTIONS_BYTES + 1)[:OPTIONS_BYTES].decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidRequestError(f"labels: '{called[:80]}' holds no text in UTF-8.") from None
    as_json, as_csv = (called.lower().endswith(ends) for ends in (".json", (".csv", ".tsv")))
    labels = parse_labels(text, f"'{called[:80]}'", as_json=as_json, as_csv=as_csv)
    return {**options, "labels": labels}


def _files(field: str) -> list[tuple[str, BinaryIO]]:
    return [
        (file.filename or "", cast("BinaryIO", file.stream))
        for file in request.files.getlist(field)
    ]


def _samples(kind: Kind) -> list[tuple[str, BinaryIO]]:
    """Return the images to verify with; a folder in their names sets them apart from the source."""
    samples = _files("samples") if kind is Kind.FREEZE else []
    if len(samples) > MOST_SAMPLES:
        raise InvalidRequestError(f"At most {MOST_SAMPLES} samples are taken.")
    most = services().settings.max_image_bytes
    for name, stream in samples:
        if size_of(stream) > most:
            raise TooLargeError(f"The sample '{name[:80]}' is larger than {binary_size(most)}.")
    return [
        (f"{SAMPLES_FOLDER}/{place:02}/{PurePosixPath(name).name or 'image'}", stream)
        for place, (name, stream) in enumerate(samples)
    ]


def _examples(asked: InspectionRequest) -> list[tuple[str, BinaryIO]]:
    """Return the examples that are uploaded: one archive of them, or pictures and perhaps a table.

    A folder in their names sets them apart from the source's files.
    """
    examples = _files("examples") if isinstance(asked, FreezeRequest) else []
    if not examples or not isinstance(asked, FreezeRequest):
        return []
    if asked.examples is not None:
        raise InvalidRequestError("examples: name a path in `options` or send them, not both.")
    if len(examples) > MOST_EXAMPLES + 1:
        raise InvalidRequestError(
            f"At most {MOST_EXAMPLES} examples are sent one by one: send more as one archive, "
            "of which as many are taken."
        )
    most = services().settings.max_image_bytes
    if len(examples) == 1:
        name, stream = examples[0]
        examine(stream, ArchiveLimits.of(services().settings), "The archive of examples")
        return [(f"{EXAMPLES_FOLDER}/{PurePosixPath(name).name or 'archive'}", stream)]
    for name, stream in examples:
        if size_of(stream) > most:
            raise TooLargeError(f"The example '{name[:80]}' is larger than {binary_size(most)}.")
    return [(f"{EXAMPLES_FOLDER}/{name}", stream) for name, stream in examples]


def _options(kind: Kind) -> Any:
    """Return what the form asks for beside its files; an inspection need not ask for anything."""
    options = request.form.get("options")
    if options is not None:
        return _labels(parse_json(options))
    if kind is Kind.INSPECTION:
        return {}
    raise InvalidRequestError("The form has no field `options` (JSON, with at least `name`).")

"""Submissions that bring a source: a path on the server, or the files themselves.

Freezes and inspections are submitted in the same way and differ in what else they ask for.
"""

import json
import os
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast

from flask import Response, request

from api.access import identity
from api.access.clients import client
from api.http.answers import preferred_wait, respond_to_submission
from api.http.parameters import parse_json
from api.services import services
from api.submissions.idempotency import idempotency
from api.submissions.webhooks import webhook_of
from worker.archives import ArchiveLimits, examine, is_compressed_file
from worker.contract.source_requests import (
    MOST_SAMPLES,
    ComparisonRequest,
    FreezeRequest,
    InspectionRequest,
    SourceFreezeRequest,
    SourceInspectionRequest,
    as_options,
)
from worker.errors import InvalidRequestError, TooLargeError, UnsupportedMediaError
from worker.images.examples import MOST_EXAMPLES
from worker.jobs.records import Kind, Lane
from worker.jobs.store import Accepted, Submission, new_job_id
from worker.jobs.uploads import (
    EXAMPLES_FOLDER,
    MOST_FILES,
    SAMPLES_FOLDER,
    StoredFile,
    drop_files,
    store_files,
)
from worker.models.labels import parse_labels

_OPTIONS_BYTES = 8 * 1024 * 1024  # labels of a large model fit
_OTHER_PARTS = 10  # of the form, beside the files

_REQUESTS: dict[Kind, type[InspectionRequest]] = {
    Kind.FREEZE: FreezeRequest,
    Kind.INSPECTION: InspectionRequest,
}
_OF_SOURCES: dict[Kind, type[InspectionRequest]] = {
    Kind.FREEZE: SourceFreezeRequest,
    Kind.INSPECTION: SourceInspectionRequest,
}


def submit_source(kind: Kind) -> Response:
    """Accept a job of a kind that works on a source, as Flask's request asks for it."""
    preferred_wait()  # a bad one is refused before anything is accepted
    sent = (request.content_length or 0) if request.mimetype == "multipart/form-data" else 0
    services().check_accepting(Lane.FREEZING, client(), sent)
    request.max_content_length = _OPTIONS_BYTES
    if request.mimetype == "multipart/form-data":
        request.max_content_length = services().settings.max_model_bytes + _OPTIONS_BYTES
        request.max_form_memory_size = _OPTIONS_BYTES
        request.max_form_parts = MOST_FILES + _OTHER_PARTS
        return _from_upload(kind)
    if request.mimetype != "application/json":
        raise UnsupportedMediaError(
            "Send JSON with `source`, or multipart/form-data with `files` or an `archive`, and "
            "`options`."
        )
    body = parse_json(request.get_data(as_text=True))
    if isinstance(body, dict) and body.get("source") is None:
        raise InvalidRequestError("source: name the model's path under the server's sources root.")
    asked = _OF_SOURCES[kind].parse(body)
    accepted = _accept(kind, asked)
    return respond_to_submission(accepted.job_id, accepted.job)


def _from_upload(kind: Kind) -> Response:
    asked = _REQUESTS[kind].parse(_options(kind))
    webhook_of(asked.webhook)  # a bad one is refused before anything is stored
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


def accept_files(
    kind: Kind, asked: InspectionRequest | ComparisonRequest, files: list[tuple[str, BinaryIO]]
) -> Accepted:
    """Store files, by their names, and accept the job that they are for; nothing is left if not."""
    services().reserve_memory(sum(size_of(stream) for _, stream in files))
    job_id = new_job_id()
    settings = services().settings
    stored = store_files(
        services().client,
        job_id,
        files,
        settings.max_model_bytes,
        owner=client(),
        owner_bytes=services().memory.client_bytes(),
        lease_s=settings.stalled_upload_ttl_s,
    )
    try:
        return _accept(kind, asked, job_id=job_id, files=stored)
    except BaseException:
        drop_files(services().client, job_id)
        raise


def _source_files() -> list[tuple[str, BinaryIO]]:
    """Return names and contents of the model's files, or of the one archive that holds them."""
    files, archives = _files("files"), _files("archive")
    if len(archives) > 1 or (files and archives):
        raise InvalidRequestError("Send one `archive`, or the model's files as `files`.")
    for _, stream in archives:
        if not is_compressed_file(stream):  # else the worker unpacks it, within the same bounds
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
        text = file.stream.read(_OPTIONS_BYTES + 1)[:_OPTIONS_BYTES].decode("utf-8-sig")
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
    """Return the images to verify with, named so that they are told from the source's files."""
    samples = _files("samples") if kind is Kind.FREEZE else []
    if len(samples) > MOST_SAMPLES:
        raise InvalidRequestError(f"At most {MOST_SAMPLES} samples are taken.")
    most = services().settings.max_image_bytes
    for name, stream in samples:
        if size_of(stream) > most:
            raise TooLargeError(f"The sample '{name[:80]}' is larger than {most / 2**20:g} MiB.")
    return [
        (f"{SAMPLES_FOLDER}/{place:02}/{PurePosixPath(name).name or 'image'}", stream)
        for place, (name, stream) in enumerate(samples)
    ]


def _examples(asked: InspectionRequest) -> list[tuple[str, BinaryIO]]:
    """Return the examples that are uploaded: one archive of them, or pictures and perhaps a table.

    Named so that they are told from the source's files.
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
            raise TooLargeError(f"The example '{name[:80]}' is larger than {most / 2**20:g} MiB.")
    return [(f"{EXAMPLES_FOLDER}/{name}", stream) for name, stream in examples]


def _options(kind: Kind) -> Any:
    """Return what the form asks for beside its files; an inspection need not ask for anything."""
    options = request.form.get("options")
    if options is not None:
        return _labels(parse_json(options))
    if kind is Kind.INSPECTION:
        return {}
    raise InvalidRequestError("The form has no field `options` (JSON, with at least `name`).")


def size_of(stream: BinaryIO) -> int:
    """Return how many bytes a file has, which is then read from its beginning."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    return size


def _accept(
    kind: Kind,
    asked: InspectionRequest | ComparisonRequest,
    *,
    job_id: str | None = None,
    files: tuple[StoredFile, ...] = (),
) -> Accepted:
    options = as_options(asked)
    webhook = webhook_of(asked.webhook)
    marks = json.dumps(
        [options, webhook.url if webhook else None, [(file.name, file.size) for file in files]],
        sort_keys=True,
    )
    digest, fingerprint = idempotency(kind, marks.encode())
    accepted = services().submit(
        Submission(
            kind=kind,
            lane=Lane.FREEZING,
            options=options,
            job_id=job_id,
            files=files,
            owner=identity.key_id(),
            idempotency_digest=digest,
            fingerprint=fingerprint,
            webhook=webhook,
            client=client(),
        )
    )
    if job_id and not accepted.created:  # a repetition: the first job has its own files
        drop_files(services().client, job_id)
    return accepted

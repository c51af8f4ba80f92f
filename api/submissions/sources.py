"""Accepting jobs of the freezing worker, with a path on the server or with uploaded files."""

import json
import os
from typing import BinaryIO

from api.access import identity
from api.access.clients import client
from api.services import services
from api.submissions.idempotency import idempotency
from api.submissions.webhooks import webhook_of
from worker.contract.source_requests import ComparisonRequest, InspectionRequest, as_options
from worker.jobs.records import Kind, Lane
from worker.jobs.submissions import Accepted, Submission, new_job_id
from worker.jobs.uploads import StoredFile, drop_files, store_files


def accept_files(
    kind: Kind, asked: InspectionRequest | ComparisonRequest, files: list[tuple[str, BinaryIO]]
) -> Accepted:
    """Store files under their names, and accept the job that works on them.

    Where the job is not accepted, its files are deleted.
    """
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
        return accept_source(kind, asked, job_id=job_id, files=stored)
    except BaseException:
        drop_files(services().client, job_id)
        raise


def accept_source(
    kind: Kind,
    asked: InspectionRequest | ComparisonRequest,
    *,
    job_id: str | None = None,
    files: tuple[StoredFile, ...] = (),
) -> Accepted:
    """Accept a job; `files` are stored for `job_id`, where it has any."""
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


def size_of(stream: BinaryIO) -> int:
    """Return how many bytes a file has, which is then read from its beginning."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    return size

"""Accepting a batch, and filling it with the images of one request."""

import json
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

import redis

from api.access import identity
from api.access.clients import client
from api.http.multipart import FormField, FormFile
from api.services import services
from api.submissions.batch_upload import BatchUpload
from api.submissions.idempotency import idempotency
from api.submissions.models import pinned, resolve_model, top_of
from api.submissions.webhooks import webhook_of
from worker.errors import InvalidRequestError
from worker.jobs.records import Kind, Lane, Origin
from worker.jobs.submissions import Accepted, Submission


def accept_batch(fields: dict[str, Any], options: dict[str, Any], origin: Origin) -> Accepted:
    """Accept a batch without images yet; `fields` are `model`, `top` and `webhook`."""
    manifest = resolve_model(fields.get("model"))
    top = fields.get("top")
    count = top_of(None if top is None else str(top))
    webhook = webhook_of(fields.get("webhook"))
    marks = [origin.value, fields.get("model"), count, options, webhook.url if webhook else None]
    asked = json.dumps(marks, sort_keys=True)
    digest, fingerprint = idempotency(Kind.BATCH, asked.encode())
    return services().submit(
        Submission(
            kind=Kind.BATCH,
            lane=Lane.BULK,
            model=pinned(manifest),
            options={"top": count, **options},
            keep_upload_s=services().settings.failed_upload_ttl_s,
            origin=origin,
            owner=identity.key_id(),
            idempotency_digest=digest,
            fingerprint=fingerprint,
            webhook=webhook,
            client=client(),
        )
    )


def fill_batch(job_id: str, parts: Iterable[FormField | FormFile]) -> None:
    """Add the files of a request to a new batch and seal it.

    Whatever is raised, nothing of the batch goes on: its client does not know of it.
    """
    batches = services().batches
    upload = BatchUpload(
        lambda images, before: batches.add_all(
            job_id, images, before=before, client_bytes=services().memory.client_bytes()
        ),
    )
    try:
        with services().heartbeat.of(job_id):
            for part in parts:
                if isinstance(part, FormField):
                    raise InvalidRequestError(
                        f"Send the field '{part.name[:40]}' before the first file, or in the query."
                    )
                upload.take(part.name, part.filename, part.stream)
            upload.flush()
        batches.seal(job_id)
    except BaseException:
        # If Redis fails here too, the sweeper gives the batch up, which has no heartbeat any more.
        with suppress(redis.RedisError):
            batches.break_off(job_id)
        raise

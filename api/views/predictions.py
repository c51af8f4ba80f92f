"""`POST /v1/predictions`: one image, one job."""

import io

from flask import Blueprint, Response, request

from api.access import identity
from api.access.clients import client
from api.http.answers import preferred_wait, submission_response, whole_number
from api.http.multipart import FormField, request_parts
from api.services import LoopServices, services
from api.submissions.idempotency import idempotency
from api.submissions.webhooks import webhook_of
from worker.errors import InvalidRequestError, ModelNotFoundError, TooLargeError
from worker.images.kinds import HEAD, refusal, sniff
from worker.jobs.presentation import job_answer
from worker.jobs.records import Kind, Lane, PinnedModel
from worker.jobs.store import Accepted, Submission
from worker.models.manifest import Manifest, ModelRef
from worker.models.registry import Registry
from worker.webhooks.targets import Target

blueprint = Blueprint("predictions", __name__)

_MOST_TOP = 999_999_999  # any number: more than there are classes means all


@blueprint.post("/v1/predictions")
def create() -> Response:
    """Classify one image.

    Multipart with the file `image` (and fields `model`, `top`, `webhook`), or the image itself as
    the body with these in the query. A `webhook` is told when the job has ended.
    `model.basis` of the job says on what the version's preprocessing rests: while it is `assumed`,
    answers may be wrong, and `GET /v1/models/NAME` says in `choices` how to put that right.
    `Idempotency-Key` makes a repetition return the first job.
    """
    request.get_data()  # in this thread, which may have to wait for it
    return services().loop.run(classify)


async def classify(loop_services: LoopServices) -> Response:
    """Answer the request in the event loop; its body is there."""
    wait = preferred_wait()  # a bad one is refused before anything is accepted
    image, fields = _image()
    asked = _submission(
        image,
        model=fields.get("model"),
        top=fields.get("top"),
        webhook=webhook_of(fields.get("webhook")),
    )
    accepted = await loop_services.submit(asked, wait_s=wait or 0.0)
    job = accepted.job or await loop_services.wait_for(
        accepted.job_id, wait or 0.0
    )  # of a repetition
    return submission_response(job, job_answer(job, root=request.script_root), wait)


def accept_image(
    image: bytes, *, model: str | None, top: str | None, keep_upload_s: float = 0.0
) -> Accepted:
    """Check an image and accept it, in a thread, as a prediction of what `model` means now."""
    asked = _submission(image, model=model, top=top, keep_upload_s=keep_upload_s)
    return services().submit(asked)


def _submission(
    image: bytes,
    *,
    model: str | None,
    top: str | None,
    webhook: Target | None = None,
    keep_upload_s: float = 0.0,
) -> Submission:
    """Return what Flask's request submits; raise where it is no image or no model."""
    settings = services().settings
    if not image:
        raise InvalidRequestError(
            "No image was sent: send it as the multipart file `image` or as the body itself."
        )
    if len(image) > settings.max_image_bytes:
        raise TooLargeError(
            f"The image has {len(image) / 2**20:.1f} MiB; "
            f"at most {settings.max_image_bytes / 2**20:.1f} MiB are accepted."
        )
    if sniff(image[:16]) is None:
        raise refusal(image[:HEAD])
    manifest = resolve_model(services().registry, model)
    count = top_of(top)
    digest, fingerprint = idempotency(
        Kind.PREDICTION,
        str(model).encode(),
        str(count).encode(),
        webhook.url.encode() if webhook else b"",
        image,
    )
    return Submission(
        kind=Kind.PREDICTION,
        lane=Lane.INTERACTIVE,
        model=pinned(manifest),
        options={"top": count},
        upload=image,
        keep_upload_s=keep_upload_s,
        idempotency_digest=digest,
        fingerprint=fingerprint,
        webhook=webhook,
        client=client(),
        owner=identity.key_id(),
    )


def top_of(text: str | None) -> int:
    """Return how many labels a request asks for; more than there are classes means all."""
    return whole_number(text, "top", 5, 1, _MOST_TOP)


def pinned(manifest: Manifest) -> PinnedModel:
    """Return what a job is pinned to that is to be answered by this version."""
    return PinnedModel(
        name=manifest.name,
        version=manifest.version,
        sha256=manifest.sha256,
        digest=manifest.digest,
        basis=manifest.basis.kind if manifest.basis is not None else "",
    )


def resolve_model(registry: Registry, text: str | None) -> Manifest:
    """Return the version that a request means; without a name, the only model there is.

    Raises `NotAClassifierError` where images cannot be classified with it.
    """
    manifest = _meant(registry, text)
    manifest.classifying()
    return manifest


def _meant(registry: Registry, text: str | None) -> Manifest:
    if text:
        return registry.resolve(ModelRef.parse(text))
    names = registry.names()
    if len(names) == 1:
        return registry.resolve(ModelRef(names[0], None, None))
    if not names:
        raise ModelNotFoundError("There is no model yet: freeze one first.")
    raise InvalidRequestError(f"Name the model with `model`: one of {', '.join(names)}.")


def _image() -> tuple[bytes, dict[str, str]]:
    """Return the uploaded bytes and the other fields of the request."""
    body = request.get_data()
    fields = request.args.to_dict()
    if request.mimetype != "multipart/form-data":
        # Any other body is the image: `curl --data-binary` says it were a form.
        return body, fields
    images = []
    for part in request_parts(io.BytesIO(body), most_bytes=len(body)):
        if isinstance(part, FormField):
            fields[part.name] = part.value
        elif part.name == "image":
            images.append(part.stream.read())
    if len(images) != 1:
        raise InvalidRequestError(
            f"The form has {len(images)} files named `image`; send one image per request."
        )
    return images[0], fields

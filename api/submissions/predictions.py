"""Accepting one image as a prediction."""

from api.access import identity
from api.access.clients import client
from api.services import services
from api.submissions.idempotency import idempotency
from api.submissions.models import pinned, resolve_model, top_of
from worker.errors import InvalidRequestError, TooLargeError
from worker.formatting import binary_size
from worker.images.kinds import HEAD, refusal, sniff
from worker.jobs.records import Kind, Lane
from worker.jobs.submissions import Accepted, Submission
from worker.webhooks.targets import Target


def accept_image(
    image: bytes, *, model: str | None, top: str | None, keep_upload_s: float = 0.0
) -> Accepted:
    """Check an image and accept it, in a thread, as a prediction of what `model` means now."""
    asked = prediction(image, model=model, top=top, keep_upload_s=keep_upload_s)
    return services().submit(asked)


def prediction(
    image: bytes,
    *,
    model: str | None,
    top: str | None,
    webhook: Target | None = None,
    keep_upload_s: float = 0.0,
) -> Submission:
    """Return the submission of an image; raise where it is no image or there is no such model."""
    settings = services().settings
    if not image:
        raise InvalidRequestError(
            "No image was sent: send it as the multipart file `image` or as the body itself."
        )
    if len(image) > settings.max_image_bytes:
        raise TooLargeError(
            f"The image has {binary_size(len(image))}; "
            f"at most {binary_size(settings.max_image_bytes)} are accepted."
        )
    if sniff(image[:16]) is None:
        raise refusal(image[:HEAD])
    manifest = resolve_model(model)
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

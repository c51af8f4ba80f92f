"""`POST /v1/predictions`: one image, one job."""

from dataclasses import replace

from apiflask import APIBlueprint
from flask import Response, request

from api import identity
from api.answers import preferred_wait, submitted, whole_number
from api.begun import begun
from api.idempotency import idempotency
from api.kernel import Kernel, kernel
from api.limits import client
from api.webhooks import webhook_of
from worker.errors import InvalidRequestError, ModelNotFoundError, TooLargeError
from worker.images.kinds import HEAD, refusal, sniff
from worker.jobs.records import Kind, Lane, PinnedModel
from worker.jobs.store import Accepted, Submission
from worker.models.manifest import Manifest, ModelRef
from worker.models.registry import Registry
from worker.webhooks.targets import Target

blueprint = APIBlueprint("predictions", __name__)

_MOST_TOP = 999_999_999  # any number: more than there are classes means all


@blueprint.post("/v1/predictions")
@blueprint.doc(
    tags=["predictions"],
    responses={202: "The job was accepted", 200: "The job has ended within the preferred wait"},
)
def create() -> Response:
    """Classify one image.

    Multipart with the file `image` (and fields `model`, `top`, `webhook`), or the image itself as
    the body with these in the query. A `webhook` is told when the job has ended.
    `model.basis` of the job says on what the version's preprocessing rests: while it is `assumed`,
    answers may be wrong, and `GET /v1/models/NAME` says in `choices` how to put that right.
    `Idempotency-Key` makes a repetition return the first job.
    """
    wait = preferred_wait() or 0.0  # a bad one is refused before anything is accepted
    image, fields = _image()
    accepted = accept_image(
        image,
        model=fields.get("model"),
        top=fields.get("top"),
        webhook=webhook_of(fields.get("webhook")),
        wait_s=wait,
    )
    return submitted(accepted.job_id, accepted.job, waited=True)


def accept_image(
    image: bytes,
    *,
    model: str | None,
    top: str | None,
    webhook: Target | None = None,
    keep_upload_s: float = 0.0,
    wait_s: float = 0.0,
) -> Accepted:
    """Check an image and accept it as a prediction of the version that `model` means now."""
    settings = kernel().settings
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
    submission = submission_of(
        kernel(), image, model=model, top=top, keep_upload_s=keep_upload_s, client=client()
    )
    digest, fingerprint = idempotency(
        Kind.PREDICTION,
        str(model).encode(),
        str(submission.options["top"]).encode(),
        webhook.url.encode() if webhook else b"",
        image,
    )
    submission = replace(
        submission,
        idempotency_digest=digest,
        fingerprint=fingerprint,
        webhook=webhook,
        owner=identity.key_id(),
    )
    earlier = begun()
    if earlier is not None:
        return kernel().take_up(replace(submission, job_id=earlier.job_id), earlier.until)
    return kernel().submit(submission, wait_s=wait_s)


def submission_of(
    kernel: Kernel,
    image: bytes,
    *,
    model: str | None,
    top: str | None,
    keep_upload_s: float = 0.0,
    job_id: str | None = None,
    client: str = "",
) -> Submission:
    """Return the submission of an image, by the version that `model` means now.

    Raises errors of the model and `InvalidRequestError`.
    """
    manifest = resolve_model(kernel.registry, model)
    return Submission(
        kind=Kind.PREDICTION,
        lane=Lane.INTERACTIVE,
        model=pinned(manifest),
        options={"top": top_of(top)},
        upload=image,
        keep_upload_s=keep_upload_s,
        job_id=job_id,
        client=client,
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
    if request.mimetype == "multipart/form-data":
        files = request.files.getlist("image")
        if len(files) != 1:
            raise InvalidRequestError(
                f"The form has {len(files)} files named `image`; send one image per request."
            )
        return files[0].read(), {**request.args.to_dict(), **request.form.to_dict()}
    # Any other body is the image: `curl --data-binary` says it were a form.
    return request.get_data(cache=False), request.args.to_dict()

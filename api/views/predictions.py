"""`POST /v1/predictions`: one image, one job."""

import io

from flask import Blueprint, Response, request

from api.http.answers import submission_response
from api.http.multipart import FormField, request_parts
from api.http.parameters import preferred_wait
from api.services import LoopServices, services
from api.submissions.predictions import prediction
from api.submissions.webhooks import webhook_of
from worker.errors import InvalidRequestError
from worker.jobs.presentation import job_answer

blueprint = Blueprint("predictions", __name__)


@blueprint.post("/v1/predictions")
def create() -> Response:
    """Classify one image.

    Multipart with the file `image` (and fields `model`, `top`, `webhook`), or the image itself as
    the body with these in the query. A `webhook` is called when the job has ended.
    `model.basis` of the job says on what the version's preprocessing rests: while it is `assumed`,
    answers may be wrong, and `GET /v1/models/NAME` says in `choices` how to put that right.
    `Idempotency-Key` makes a repetition return the first job.
    """
    request.get_data()  # in this thread, which may have to wait for it
    return services().loop.run(classify)


async def classify(loop_services: LoopServices) -> Response:
    """Answer the request in the event loop; its body is there."""
    wait = preferred_wait()  # raises for a bad value before anything is accepted
    image, fields = _image()
    asked = prediction(
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

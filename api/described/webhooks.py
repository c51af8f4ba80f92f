"""What this server sends: that a job has ended, to the `webhook` of its submission."""

from typing import Any, Final

from api.described import examples
from api.described.operation import JSON
from api.described.problems import REF
from worker.contract.base import as_json
from worker.contract.webhooks import JobEnded

_HEADERS: Final = {
    "webhook-id": "The event's id, the same in every attempt.",
    "webhook-timestamp": "When this attempt was made, in seconds since 1970.",
    "webhook-signature": "`v1,` and an HMAC of id, time and body, one for each secret.",
}
_EXAMPLE: Final = JobEnded.model_validate(
    {
        "type": "job.succeeded",
        "timestamp": examples.PREDICTION.root.finished_at,
        "data": examples.PREDICTION.model_dump(exclude_unset=True),
    }
)

WEBHOOKS: Final[dict[str, Any]] = {
    "job-ended": {
        "post": {
            "operationId": "job_ended",
            "tags": ["webhooks"],
            "summary": "Receive that a job has ended.",
            "description": "At least once; anything but 2xx is tried again later.",
            "parameters": [
                {
                    "name": name,
                    "in": "header",
                    "required": True,
                    "description": about,
                    "schema": {"type": "string"},
                }
                for name, about in _HEADERS.items()
            ],
            "requestBody": {
                "required": True,
                "content": {
                    JSON: {
                        "schema": {"$ref": f"{REF}{JobEnded.__name__}"},
                        "example": as_json(_EXAMPLE),
                    }
                },
            },
            "responses": {
                "2XX": {"description": "It was received"},
                "410": {"description": "The receiver is gone for good; it is not called again"},
            },
        }
    }
}

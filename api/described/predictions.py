"""Predictions and comparisons: images that are sent at once."""

from typing import Final

from api.described import examples
from api.described.operation import BINARY, FORM, SUBMITTING, UPLOADED, DescribedOperation, accepted
from worker.contract.forms import ComparisonForm, PredictionForm, WaitingSubmissionQuery
from worker.contract.jobs import Job
from worker.errors import (
    GivesNoScoresError,
    IdempotencyMismatchError,
    ModelNotFoundError,
    ModelSetAsideError,
    ModelUnavailableError,
    OverloadedError,
    ShareExceededError,
    TakesNoImagesError,
    UnsupportedFormatError,
    WebhookError,
    WebhooksOffError,
)

# Errors that a submission may get,
SUBMITTED: Final = (
    *(OverloadedError, ShareExceededError, IdempotencyMismatchError),
    *(WebhookError, WebhooksOffError),
)
# and one that names a model.
ASKING: Final = (
    *(ModelNotFoundError, ModelSetAsideError, ModelUnavailableError),
    *(TakesNoImagesError, GivesNoScoresError),
)

OPERATIONS: Final = (
    DescribedOperation(
        method="post",
        path="/v1/predictions",
        id="create_prediction",
        view="predictions.create",
        tag="predictions",
        summary="Classify one image.",
        about="A form with the file `image` (and fields `model`, `top`, `webhook`), or the image "
        "itself as the body with these in the query. A `webhook` is called when the job has ended. "
        "`model.basis` of the job says on what the version's preprocessing rests: while it is "
        "`assumed`, answers may be wrong, and `GET /v1/models/NAME` says in `choices` how to put "
        "that right.",
        query=WaitingSubmissionQuery,
        headers=SUBMITTING,
        body={
            FORM: PredictionForm,
            "image/*": BINARY,
            "application/octet-stream": BINARY,
        },
        answers=accepted(Job, examples.PREDICTION_QUEUED, examples.PREDICTION),
        errors=(*UPLOADED, *SUBMITTED, *ASKING, UnsupportedFormatError),
    ),
    DescribedOperation(
        method="post",
        path="/v1/comparisons",
        id="create_comparison",
        view="comparisons.create",
        tag="comparisons",
        summary="Ask a model for its answers under each way of preparing images that may be meant.",
        about="The result holds the `ways`, first the one that is served, each with its answers "
        "and the command that makes it the model's.",
        query=WaitingSubmissionQuery,
        headers=SUBMITTING,
        body={FORM: ComparisonForm},
        answers=accepted(Job, examples.COMPARISON_QUEUED, examples.COMPARISON),
        errors=(*UPLOADED, *SUBMITTED, *ASKING, UnsupportedFormatError),
    ),
)

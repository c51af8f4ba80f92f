"""Batches: many images, one job."""

from typing import Final

from api.described import examples
from api.described.operation import (
    FORM,
    JSON,
    POSTED,
    PREFER,
    STORED,
    SUBMITTING,
    UPLOADED,
    DescribedAnswer,
    DescribedOperation,
    accepted,
    json_answer,
)
from api.described.predictions import ASKING, SUBMITTED
from api.described.problems import REF
from worker.contract.batches import (
    Added,
    BatchRow,
    FolderBatchRequest,
    OpenBatchRequest,
    ResultsQuery,
)
from worker.contract.forms import AddForm, BatchForm, WaitingSubmissionQuery, WaitQuery
from worker.contract.jobs import Job
from worker.errors import (
    ArchiveTooLargeError,
    BadArchiveError,
    ConflictError,
    GoneError,
    NotFoundError,
    OverloadedError,
    ShareExceededError,
    StorageError,
)

ARCHIVES: Final = (BadArchiveError, ArchiveTooLargeError)
_OF_ONE: Final = (NotFoundError, GoneError)

# Text, of which each line is JSON of one image.
_LINES: Final = {
    "type": "string",
    "contentMediaType": JSON,
    "contentSchema": {"$ref": f"{REF}{BatchRow.__name__}"},
}

OPERATIONS: Final = (
    DescribedOperation(
        method="post",
        path="/v1/batches",
        id="create_batch",
        view="batches.create",
        tag="batches",
        summary="Classify many images.",
        about="A form with any number of files `images` or an `archive`; JSON with `folder`, a "
        'path under a folders root of the server; or JSON with `"open": true`, to add images in '
        "later requests and seal the batch after. `model`, `top` and `webhook` may also stand in "
        "the query.",
        query=WaitingSubmissionQuery,
        headers=SUBMITTING,
        body={JSON: (OpenBatchRequest, FolderBatchRequest), FORM: BatchForm},
        example={"open": True, "model": "cats-dogs"},
        answers=accepted(Job, examples.BATCH_QUEUED, examples.BATCH),
        errors=(*UPLOADED, *SUBMITTED, *ASKING, *ARCHIVES, NotFoundError),
    ),
    DescribedOperation(
        method="post",
        path="/v1/batches/{job_id}/images",
        id="add_images",
        view="batches.add",
        tag="batches",
        summary="Add images to an open batch.",
        about="A path that the batch has already is left out, so that a request can be sent again. "
        "Different pictures that have one name in the request get names of their own: `a.jpg`, "
        "`a (2).jpg`.",
        body={FORM: AddForm},
        answers=(json_answer(Added, examples.ADDED, "They are stored and will be classified"),),
        errors=(
            *(*UPLOADED, *_OF_ONE, *ARCHIVES),
            *(ConflictError, OverloadedError, ShareExceededError),
        ),
    ),
    DescribedOperation(
        method="get",
        path="/v1/batches/{job_id}/images",
        id="list_images",
        view="batches.paths",
        tag="batches",
        summary="List the paths of the images that a batch has.",
        answers=(
            DescribedAnswer(
                about="One JSON string per line, in the order in which they were added",
                content={"application/jsonl": {"type": "string"}},
                example='"cats/cat.1.jpg"\n"cats/cat.2.jpg"\n',
            ),
        ),
        errors=(*STORED, *_OF_ONE),
    ),
    DescribedOperation(
        method="post",
        path="/v1/batches/{job_id}/seal",
        id="seal_batch",
        view="batches.seal",
        tag="batches",
        summary="Say that nothing more is added.",
        about="Sealing twice changes nothing.",
        query=WaitQuery,
        headers=PREFER,
        answers=accepted(Job, examples.BATCH_QUEUED, examples.BATCH),
        errors=(*POSTED, *_OF_ONE, ConflictError),
    ),
    DescribedOperation(
        method="post",
        path="/v1/batches/{job_id}/retry",
        id="retry_batch",
        view="batches.retry",
        tag="batches",
        summary="Queue the failed images again.",
        about="What was classified stays.",
        query=WaitQuery,
        headers=PREFER,
        answers=accepted(Job, examples.BATCH_QUEUED, examples.BATCH),
        errors=(*POSTED, *_OF_ONE, ConflictError, StorageError),
    ),
    DescribedOperation(
        method="get",
        path="/v1/batches/{job_id}/results",
        id="read_results",
        view="batches.results",
        tag="batches",
        summary="Stream finished images.",
        about="Also while the batch runs. Each line of JSON is one `BatchRow`; a table has the "
        "same columns, with `predictions` and `error` as JSON.",
        query=ResultsQuery,
        answers=(
            DescribedAnswer(
                about="A row for each image",
                content={"application/jsonl": _LINES, "text/csv": {"type": "string"}},
                example=f"{examples.ROW.model_dump_json()}\n",
            ),
        ),
        errors=(*STORED, *_OF_ONE),
    ),
)

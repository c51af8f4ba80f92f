"""Freezes and inspections: jobs that bring a trained model."""

from typing import Final

from api.described import examples
from api.described.batches import ARCHIVES
from api.described.operation import FORM, JSON, SUBMITTING, UPLOADED, DescribedOperation, accepted
from api.described.predictions import SUBMITTED
from worker.contract.forms import FreezeForm, InspectionForm, WaitQuery
from worker.contract.jobs import Job
from worker.contract.source_requests import SourceFreezeRequest, SourceInspectionRequest

OPERATIONS: Final = (
    DescribedOperation(
        method="post",
        path="/v1/freezes",
        id="create_freeze",
        view="sources.freeze",
        tag="freezes",
        summary="Freeze a trained model and publish it.",
        about="JSON with `source`, a path under the server's sources root, or a form with all "
        "`files` of a model or one `archive` of them, and the same fields, less `source`, as "
        "`options`. `labels` may be a list, the text of a file with one per line, JSON, CSV or a "
        "label map, or such a file itself. Without it labels are taken that lie beside the model "
        "(`labels.txt`, `class_indices.json` and the like), if there is one for each class. Images "
        "sent as `samples` are used to verify, also beside a `source` in `options`.",
        query=WaitQuery,
        headers=SUBMITTING,
        body={JSON: SourceFreezeRequest, FORM: FreezeForm},
        example={
            "name": "cats-dogs",
            "source": "cats-dogs/model.meta",
            "outputs": ["y_pred"],
            "labels": ["cat", "dog"],
            "preprocessing": {"preset": "zero_one", "color": "bgr"},
        },
        answers=accepted(Job, examples.FREEZE_QUEUED, examples.FREEZE),
        errors=(*UPLOADED, *SUBMITTED, *ARCHIVES),
    ),
    DescribedOperation(
        method="post",
        path="/v1/inspections",
        id="create_inspection",
        view="sources.inspect",
        tag="inspections",
        summary="Look into a trained model: what it holds, and what to freeze of it.",
        about="JSON with `source`, a path under the server's sources root, or a form with its "
        "`files` or an `archive`; `signature` and `checkpoint` choose where a source holds "
        "several, in a form among the `options`. Nothing of the source is run.",
        query=WaitQuery,
        headers=SUBMITTING,
        body={JSON: SourceInspectionRequest, FORM: InspectionForm},
        example={"source": "cats-dogs/model.meta"},
        answers=accepted(Job, examples.INSPECTION_QUEUED, examples.INSPECTION),
        errors=(*UPLOADED, *SUBMITTED, *ARCHIVES),
    ),
)

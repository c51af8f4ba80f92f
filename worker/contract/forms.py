"""What the forms (`multipart/form-data`) of submissions hold."""

from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from worker.contract.base import MODEL, left_out
from worker.contract.requests import MODEL_MEANS, MOST_TOP, NAMED, TOP_MEANS, WEBHOOK_MEANS, Query
from worker.contract.source_requests import MOST_SAMPLES, FreezeRequest, InspectionRequest
from worker.images.examples import MOST_EXAMPLES
from worker.models.comparison import MOST_COMPARED

File = Annotated[bytes, WithJsonSchema({"type": "string", "format": "binary"})]

_IMAGE: Final = "JPEG, PNG, GIF, WebP, BMP or TIFF."


class WaitQuery(Query):
    """How long an answer is held."""

    wait: float | None = Field(
        None,
        ge=0,
        description="Seconds for which the answer is held until the job has ended; the server has "
        "a limit of its own. It goes before the header `Prefer`.",
    )


class SubmissionQuery(Query):
    """What a submission of images may say in its address."""

    model: str | None = Field(None, description=MODEL_MEANS, json_schema_extra=NAMED)
    top: int | None = Field(None, ge=1, le=MOST_TOP, description=TOP_MEANS)
    webhook: str | None = Field(None, description=WEBHOOK_MEANS)


class WaitingSubmissionQuery(SubmissionQuery, WaitQuery):
    """The same, and how long the answer is held."""


class _Form(BaseModel):
    """A form. Its fields are never null: what is not said is left out."""


class _ImagesForm(_Form):
    model: str | None = left_out(MODEL_MEANS, pattern=MODEL)
    top: Annotated[int, Field(ge=1, le=MOST_TOP)] | None = left_out(TOP_MEANS)
    webhook: str | None = left_out(WEBHOOK_MEANS)


class PredictionForm(_ImagesForm):
    """One image to classify."""

    image: File = Field(description=_IMAGE)


class ComparisonForm(_ImagesForm):
    """Images to try on one version."""

    images: list[File] = Field(min_length=1, max_length=MOST_COMPARED, description=_IMAGE)


class AddForm(_Form):
    """Images for a batch: `images`, or an `archive` of them."""

    model_config = ConfigDict(extra="forbid")

    images: list[File] | None = left_out(f"Any number of files: {_IMAGE}")
    archive: File | None = left_out("A zip, tar or tar.gz of images.")


class BatchForm(AddForm, _ImagesForm):
    """A batch in one request; the fields that are no files come before the first file."""


class SourceForm(_Form):
    """A trained model: all its `files`, or one `archive` of them."""

    files: list[File] | None = left_out(
        "All files of the model; their names may hold folders (`variables/variables.index`)."
    )
    archive: File | None = left_out("A zip, tar or tar.gz of the model, instead of its files.")
    labels: File | None = left_out(
        "The labels as a file: one per line, JSON, CSV or a label map; instead of `labels` in "
        "`options`."
    )


class InspectionForm(SourceForm):
    """A trained model to look into."""

    options: InspectionRequest | None = left_out("What else is asked for, as JSON.")


class FreezeForm(SourceForm):
    """A trained model to freeze."""

    options: FreezeRequest = Field(description="What is asked for, as JSON.")
    samples: list[File] | None = left_out(
        f"Up to {MOST_SAMPLES} photographs to verify with, beside made-up ones."
    )
    examples: list[File] | None = left_out(
        "Pictures whose label is known, by which it is decided how images are prepared: one "
        "archive with a folder for each label or with `examples.csv` (a file and its label in each "
        f"row), or up to {MOST_EXAMPLES} pictures named `label/picture`, or so many beside an "
        "`examples.csv`."
    )

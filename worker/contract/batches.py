"""Batches: the request that opens one, its progress, and a row for each of its images."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator

from worker.contract.base import Answered, Count, Sha256
from worker.contract.predictions import Prediction
from worker.contract.problems import Fault
from worker.contract.requests import (
    INTEGRAL,
    MODEL_MEANS,
    MOST_TOP,
    NAMED,
    TOP_MEANS,
    WEBHOOK_MEANS,
    Flag,
    Query,
    Request,
)
from worker.errors import WebhookError

ResultFormat = Literal["jsonl", "csv"]
RowStatus = Literal["succeeded", "failed"]


class Common(Request):
    """What any submission of images may say."""

    model: str | None = Field(None, description=MODEL_MEANS, json_schema_extra=NAMED)
    top: Annotated[int, Field(strict=True, ge=1, le=MOST_TOP), INTEGRAL] | None = Field(
        None, description=TOP_MEANS
    )
    webhook: str | None = Field(None, description=WEBHOOK_MEANS)

    @field_validator("webhook", mode="before", json_schema_input_type=str | None)
    @classmethod
    def _webhook(cls, value: Any) -> Any:
        if value is not None and not isinstance(value, str):
            raise WebhookError("webhook must be an address such as https://example.com/hooks.")
        return value


class OpenBatchRequest(Common):
    """A batch to which images are added in later requests, until it is sealed."""

    called: ClassVar[str] = "open batch"

    open: Literal[True]


class FolderBatchRequest(Common):
    """A batch of the images of a folder that the server reads itself."""

    called: ClassVar[str] = "batch of a folder"

    folder: str = Field(description="A path below one of the server's folders roots.")
    recursive: Flag = Field(True, description="Whether images in folders below it count too.")
    patterns: list[Annotated[str, Field(min_length=1, max_length=200)]] = Field(
        default_factory=list,
        max_length=100,
        description="Only files whose names fit one of these, such as `*.jpg`; empty: all images.",
    )


class BatchProgress(Answered):
    """How many images a batch has, how many have ended, and how fast it goes."""

    total: Count
    succeeded: Count
    failed: Count
    skipped: Count = Field(description="Files that are no images.")
    sealed: bool = Field(description="false while images may still be added.")
    percent: float = Field(ge=0, le=100, description="Rounded down: 100 says that nothing is left.")
    rate: float | None = Field(
        description="Images per second over about the last ten seconds; null where that cannot be "
        "told."
    )
    remaining_s: float | None = Field(
        description="Seconds until it will have ended; null where that cannot be told."
    )


class BatchResult(Answered):
    """What became of the images so far, in one look."""

    labels: dict[str, int] = Field(
        description="How often each label came first, most often first. Lists of jobs leave it "
        "empty."
    )


class BatchRow(Answered):
    """One finished image of a batch: a line of its results."""

    path: str = Field(
        description="As it was sent; bytes that are not UTF-8 as a backslash, x and two digits."
    )
    status: RowStatus
    label: str | None = Field(description="The best one; null where it failed.")
    score: float | None = Field(description="Of that label.")
    predictions: list[Prediction] | None = Field(
        description="The best first, as many as `top` says; null where it failed."
    )
    error: Fault | None = Field(description="null where it succeeded.")
    model: str
    version: int = Field(gt=0)
    sha256: Sha256


class Added(Answered):
    """What became of the images of one request."""

    added: Count
    already: Count = Field(description="Left out, because the batch has their paths.")
    skipped: Count = Field(description="Files that are no images.")


class ResultsQuery(Query):
    """Which rows are sent, and how."""

    format: ResultFormat = Field("jsonl", description="JSON lines or a table.")
    status: RowStatus | None = Field(None, description="Only these.")
    order: Literal["added", "path"] = Field(
        "added",
        description="`added`: as the images were added, which for an upload is as they arrived; "
        "`path`: sorted by path, of up to 200,000 images.",
    )
    bom: Literal["0", "1"] = Field(
        "0", description="1: a table begins with a byte order mark, for spreadsheets."
    )

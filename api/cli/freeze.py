"""`freeze`: a trained model becomes a published version."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from api.cli.escaping import escaped
from api.cli.examples import read_examples
from api.cli.exit_status import check_succeeded, reported
from api.cli.following import PATIENCE_S, follow, submit_source
from api.cli.freeze_options import parse_set, read_labels, read_preprocessing
from api.cli.options import (
    AsJson,
    Checkpoint,
    Server,
    Signature,
    Webhook,
    again,
    connect,
)
from api.client import DEFAULT_SERVER

if TYPE_CHECKING:
    from worker.contract.jobs import FreezeJob

Batch = Literal["keep", "free"]
Runtime = Literal["tensorflow", "onnxruntime"]
Scores = Literal["probabilities", "logits", "sigmoid"]
Statistics = Literal["moving", "image"]


def freeze(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A folder, a checkpoint's prefix or one of its files, a model's file, or an "
            "archive. What is not on this machine is looked for below the server's sources folder.",
        ),
    ],
    name: Annotated[
        str, typer.Option("--name", help="The model's name, of at most 64 characters.")
    ],
    outputs: Annotated[
        list[str] | None, typer.Option("--output", metavar="NODE", help="A node to keep.")
    ] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", metavar="NODE", help="The node of the images.")
    ] = None,
    constants: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NODE=VALUE", help="Bake a placeholder: is_training=false."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option("--labels", metavar="FILE", help="The labels, one per line.")
    ] = None,
    preprocessing: Annotated[
        str | None,
        typer.Option(
            "--preprocessing",
            metavar="FILE|PRESET",
            help="zero_one, minus_one_one, centered, raw, caffe, imagenet, standardise, or a "
            "JSON file of fields.",
        ),
    ] = None,
    scores: Annotated[
        Scores | None, typer.Option("--scores", help="What the output holds.")
    ] = None,
    alias: Annotated[
        str | None,
        typer.Option("--alias", help="The alias to move to the new version instead of stable."),
    ] = None,
    runtime: Annotated[
        Runtime | None, typer.Option("--runtime", help="What serves it; tensorflow if not given.")
    ] = None,
    optimise: Annotated[
        bool,
        typer.Option(
            "--optimise/--no-optimise", help="Fold constants and batch normalisation, or do not."
        ),
    ] = True,
    batch: Annotated[
        Batch | None,
        typer.Option(
            "--batch",
            help="free: make a model of fixed batch size take any number of images at once. "
            "keep: serve it by padding, as without this option.",
        ),
    ] = None,
    averages: Annotated[
        bool,
        typer.Option(
            "--averages", help="Take the moving averages of the weights, not the last weights."
        ),
    ] = False,
    statistics: Annotated[
        Statistics | None,
        typer.Option(
            "--statistics",
            help="What batch normalisation that was left in training mode answers with: the moving "
            "averages that training kept, or the statistics of each image alone.",
        ),
    ] = None,
    samples: Annotated[
        list[Path] | None,
        typer.Option(
            "--sample", metavar="FILE", help="An image to verify with, beside made up ones."
        ),
    ] = None,
    examples: Annotated[
        str | None,
        typer.Option(
            "--examples",
            metavar="FOLDER|CSV|ARCHIVE",
            help="Pictures whose label is known, by which it is decided how images are prepared: a "
            "folder with a sub-folder for each label, a CSV of files and labels, or an archive of "
            "either.",
        ),
    ] = None,
    example: Annotated[
        list[str] | None,
        typer.Option("--example", metavar="FILE=LABEL", help="One such picture: photo.jpg=cat."),
    ] = None,
    signature: Signature = None,
    checkpoint: Checkpoint = None,
    webhook: Webhook = None,
    server: Server = DEFAULT_SERVER,
    as_json: AsJson = False,
) -> None:
    """Freeze a trained model and publish it as the next version of NAME."""
    with reported(as_json=as_json):
        fields: dict[str, Any] = {
            "name": name,
            "inputs": inputs,
            "outputs": outputs,
            "set": parse_set(constants or []),
            "labels": None if labels is None else read_labels(labels),
            "preprocessing": None if preprocessing is None else read_preprocessing(preprocessing),
            "scores": scores,
            "alias": alias,
            "runtime": runtime,
            "batch": batch,
            "averages": averages,
            "statistics": statistics,
            "signature": signature,
            "checkpoint": checkpoint,
            "webhook": webhook,
        }
        pictures = read_examples(examples, example or [])
        if examples is not None and not pictures:
            fields["examples"] = examples  # a path on the server
        options = {field: value for field, value in fields.items() if value}
        if not optimise:
            options["optimise"] = False
        with connect(server, retry_for_s=PATIENCE_S) as client:
            job = submit_source(
                client.freeze_files,
                source,
                options,
                samples=samples or (),
                examples=pictures,
                as_json=as_json,
            )
            job = follow(client, job, as_json=as_json)
    _tell(job, alias=alias, server=server, as_json=as_json)


def _tell(job: "FreezeJob", *, alias: str | None, server: str, as_json: bool) -> None:
    from api.cli.freeze_report import show_freeze  # noqa: PLC0415 - imports rich
    from api.cli.output import console, write_json  # noqa: PLC0415 - imports rich
    from api.client import document  # noqa: PLC0415 - imports httpx

    if as_json:
        write_json(document(job))
    check_succeeded(job)
    if job.result and not as_json:
        out = console()
        show_freeze(out, job.result, server)
        if not job.result.classifies:
            return
        model = escaped(job.result.model)
        if alias not in (None, "stable"):
            model = f"{model}@{alias}"
        out.print(f"\nTry it: {again(f'classify photo.jpg --model {model}', server)}")

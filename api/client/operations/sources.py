"""What works on a trained model: freezes, inspections and comparisons."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from api.client import reading
from api.client.connection import Connection
from api.client.examples import archive_of_examples, example_files, local_examples
from api.client.forms import Form
from api.client.operations.submitting import given, submitted
from api.client.sources import OnServer, local_source
from api.client.steps import Json, ReadBy, Steps, Work
from api.client.uploads import ARCHIVE_SUFFIXES, LocalFile, json_bytes
from worker.images.examples import Example

OnSent = Callable[[int], None]
Source = str | Path | OnServer
Examples = str | Path | OnServer | Mapping[str | Path, str]

Scores = Literal["probabilities", "logits", "sigmoid"]
Runtime = Literal["tensorflow", "onnxruntime"]


@ReadBy(reading.freeze_job)
def freeze(
    connection: Connection,
    source: Source,
    *,
    name: str,
    outputs: Sequence[str] = (),
    inputs: Sequence[str] = (),
    set: Mapping[str, Any] | None = None,  # noqa: A002 - as the contract calls it
    labels: Sequence[str] = (),
    preprocessing: str | Mapping[str, Any] | None = None,
    scores: Scores | None = None,
    alias: str | None = None,
    runtime: Runtime | None = None,
    optimise: bool = True,
    batch: Literal["keep", "free"] | None = None,
    averages: bool = False,
    statistics: Literal["moving", "image"] | None = None,
    samples: Sequence[str | Path] = (),
    examples: Examples | None = None,
    signature: str | None = None,
    checkpoint: str | None = None,
    webhook: str | None = None,
    on_sent: OnSent | None = None,
    key: str | None = None,
) -> Steps[Json]:
    """Submit a freeze of a trained model and return its job.

    `source`: a folder, a checkpoint's prefix, a model's file or an archive of this machine, which
    is uploaded; or `OnServer(path)`. `name`: of the model whose next version it becomes, of at most
    64 characters. `samples`: images to verify with. `examples`: pictures and their labels, by which
    it is decided how images are prepared, or a folder, a table or an archive of them. `on_sent`:
    called with the number of bytes as they leave, and with a negative number where an upload starts
    again.
    """
    pictures, of_server = yield Work(lambda: _examples(examples))
    images = [LocalFile(path=Path(path), name=Path(path).name, is_sample=True) for path in samples]
    asked = {
        "name": name,
        "inputs": [*inputs],
        "outputs": [*outputs],
        "set": dict(set or {}),
        "labels": [*labels],
        "preprocessing": preprocessing,
        "scores": scores,
        "alias": alias,
        "runtime": runtime,
        "batch": batch,
        "averages": averages,
        "statistics": statistics,
        "signature": signature,
        "webhook": webhook,
        "examples": of_server,
    }
    options: Json = {field: value for field, value in asked.items() if value}
    if not optimise:
        options["optimise"] = False
    files, options = yield Work(lambda: _sent(source, checkpoint, options))
    sent = [*files, *images, *pictures]
    return (yield from freeze_files.steps(connection, sent, options, on_sent=on_sent, key=key))


@ReadBy(reading.inspection_job)
def inspect(
    connection: Connection,
    source: Source,
    *,
    signature: str | None = None,
    checkpoint: str | None = None,
    webhook: str | None = None,
    on_sent: OnSent | None = None,
    key: str | None = None,
) -> Steps[Json]:
    """Submit an inspection of a trained model, which says what to freeze, and return its job.

    `source` as `freeze` takes it.
    """
    asked = given(signature=signature, webhook=webhook)
    files, options = yield Work(lambda: _sent(source, checkpoint, asked))
    return (yield from inspect_files.steps(connection, files, options, on_sent=on_sent, key=key))


@ReadBy(reading.freeze_job)
def freeze_files(
    connection: Connection,
    files: Sequence[LocalFile],
    options: Json,
    *,
    on_sent: OnSent | None = None,
    key: str | None = None,
) -> Steps[Json]:
    """Submit a freeze of files of this machine, streamed from disk.

    A single zip or tar file is sent as an archive. Where `options` name a source on the
    server, all files are samples or examples, if there are any.
    """
    body = _form(files, options, on_sent) if files else options
    return (yield from submitted(connection, "/v1/freezes", body=body, key=key))


@ReadBy(reading.inspection_job)
def inspect_files(
    connection: Connection,
    files: Sequence[LocalFile],
    options: Json,
    *,
    on_sent: OnSent | None = None,
    key: str | None = None,
) -> Steps[Json]:
    """Submit an inspection of files of this machine, or on the server, as `freeze_files` does."""
    body = _form(files, options or None, on_sent) if files else options
    return (yield from submitted(connection, "/v1/inspections", body=body, key=key))


@ReadBy(reading.comparison_job)
def compare(
    connection: Connection,
    model: str,
    images: Sequence[str | Path],
    *,
    top: int | None = None,
    webhook: str | None = None,
    key: str | None = None,
) -> Steps[Json]:
    """Submit up to eight images to try all ways of preparing them on; return the job."""
    form = Form()
    for path in map(Path, images):
        form.add("images", path.name, path)
    params = given(model=model, top=top, webhook=webhook)
    return (yield from submitted(connection, "/v1/comparisons", body=form, params=params, key=key))


def _sent(source: Source, checkpoint: str | None, options: Json) -> tuple[list[LocalFile], Json]:
    """Return the files of a source, and the options, with the source where it has none."""
    if isinstance(source, OnServer):
        return [], {"source": source.path, **options, **given(checkpoint=checkpoint)}
    path = Path(source)
    if checkpoint and not path.is_dir():  # of a folder only that one is sent
        options = {**options, **given(checkpoint=checkpoint)}
    found = local_source(path, checkpoint)
    return [LocalFile(path=place, name=name) for name, place in found.named()], options


def _examples(examples: Examples | None) -> tuple[list[LocalFile], str | None]:
    """Return the files of examples, or where they lie on the server."""
    if examples is None:
        return [], None
    if isinstance(examples, OnServer):
        return [], examples.path
    if isinstance(examples, Mapping):
        pairs = [Example(path=Path(path), label=label) for path, label in examples.items()]
        return example_files(pairs), None
    archive = archive_of_examples(Path(examples))
    return [archive] if archive else example_files(local_examples(Path(examples))), None


def _form(files: Sequence[LocalFile], options: Json | None, on_sent: OnSent | None) -> Form:
    """Return a form of a source's files, and of samples and examples beside it."""
    source = [file for file in files if file.is_of_source]
    alone = len(source) == 1 and source[0].name.lower().endswith(ARCHIVE_SUFFIXES)
    form = Form(on_sent)
    if options is not None:
        form.field("options", json_bytes(options))
    for file in files:
        called = "archive" if alone else "files"
        if not file.is_of_source:
            called = "samples" if file.is_sample else "examples"
        form.add(called, file.name, file.path if file.content is None else file.content)
    return form

"""A micro-batch: its images decoded, run through the graph, and ranked."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import structlog

from worker.errors import ImageError
from worker.images.decode import Limits, decode_for
from worker.images.preprocess import prepare
from worker.images.resizing.reduction import Picture
from worker.inference.graph import LoadedGraph
from worker.inference.scores import rank, to_scores
from worker.jobs.claims import ClaimedItem
from worker.jobs.records import Item, Kind, Outcome

_log = structlog.get_logger(__name__)
_MOST_EXTRA_VALUES = 1000  # numbers shown per image of each output after the first


def classify(
    graph: LoadedGraph,
    items: tuple[ClaimedItem, ...],
    *,
    limits: Limits,
    reduced: bool,
) -> dict[Item, Outcome]:
    """Decode the items' uploads, run the graph over all that could be read, and rank.

    All are decoded before the first is run: decoding is fastest with its code and tables in the
    processor's cache. An image that cannot be read costs only itself: its outcome is the error.
    With `reduced`, large ones are decoded no larger than the graph's input needs.
    """
    outcomes: dict[Item, Outcome] = {}
    rows = np.empty((len(items), *graph.preprocessing.shape), graph.dtype)
    spec = graph.preprocessing if reduced else None
    decoded = partial(decode_for, spec=spec, limits=limits)
    readable = _prepare(graph, items, rows, outcomes, decoded)
    outcomes.update(_classified(graph, readable, rows[: len(readable)]))
    return outcomes


def _prepare(
    graph: LoadedGraph,
    items: tuple[ClaimedItem, ...],
    rows: npt.NDArray[np.generic],
    outcomes: dict[Item, Outcome],
    decoded: Callable[[bytes], Picture],
) -> list[ClaimedItem]:
    """Fill the first rows with the items that can be read, and return those.

    What became of the others is put into `outcomes`.
    """
    spec = graph.preprocessing
    readable: list[ClaimedItem] = []
    for claimed in items:
        try:
            picture = decoded(claimed.upload)
            row = rows[len(readable)]
            prepare(picture.image, spec, graph.dtype, box=picture.box, out=row)
            readable.append(claimed)
        except ImageError as error:
            outcomes[claimed.item] = failure(error.code, error.message)
        except Exception:  # a mistake of ours, but still of this image alone
            _log.exception("image not prepared", action="image_not_prepared", item=claimed.item.key)
            outcomes[claimed.item] = failure(
                ImageError.code, "The image could not be prepared: save it again as JPEG or PNG."
            )
    return readable


def _classified(
    graph: LoadedGraph, readable: list[ClaimedItem], rows: npt.NDArray[np.generic]
) -> dict[Item, Outcome]:
    """Run the graph once; where it fails, once for each image."""
    try:
        return _run(graph, readable, rows)
    except Exception:
        # Whatever it was, it must not cost the others: each image has a try of its own.
        _log.exception("micro-batch failed", action="micro_batch_failed", images=len(readable))
    outcomes: dict[Item, Outcome] = {}
    for number, claimed in enumerate(readable):
        try:
            outcomes.update(_run(graph, [claimed], rows[number : number + 1]))
        except Exception as error:  # TensorFlow's and NumPy's errors alike
            outcomes[claimed.item] = failure(
                "model_failed", f"The model failed on this image: {first_line(error)}"
            )
    return outcomes


def first_line(error: Exception) -> str:
    """Return the first line of what an error says, cut where it is very long."""
    return (str(error).splitlines() or [type(error).__name__])[0][:300]


def failure(code: str, message: str) -> Outcome:
    """Return the outcome of an image that failed."""
    return Outcome(error={"code": code, "message": message})


def _run(
    graph: LoadedGraph, items: list[ClaimedItem], rows: npt.NDArray[np.generic]
) -> dict[Item, Outcome]:
    if not items:
        return {}
    return _results(graph, graph.run(rows), items)


def _results(
    graph: LoadedGraph, outputs: list[npt.NDArray[Any]], items: list[ClaimedItem]
) -> dict[Item, Outcome]:
    manifest = graph.manifest
    if outputs[0].shape[:1] != (len(items),):
        raise ValueError(
            f"{manifest.outputs[0].name} has the shape {list(outputs[0].shape)} for {len(items)} "
            "image(s): its first side must be the number of images."
        )
    scores = to_scores(np.asarray(outputs[0], np.float32).reshape(len(items), -1), graph.scores)
    outcomes = {}
    for number, claimed in enumerate(items):
        if not np.isfinite(scores[number]).all():
            outcomes[claimed.item] = failure(
                "not_finite", "The model answered with NaN or infinity for this image."
            )
            continue
        top = int(claimed.options.get("top", 5))
        predictions = rank(scores[number], manifest.labels, top)
        if claimed.kind is Kind.BATCH:  # kept short: there are many
            outcomes[claimed.item] = Outcome(
                result=[[p["label"], p["score"]] for p in predictions],
                label=predictions[0]["label"],
            )
            continue
        result: dict[str, Any] = {"predictions": predictions}
        if len(outputs) > 1:
            result["outputs"] = {
                tensor.name: _listed(values[number])
                for tensor, values in zip(manifest.outputs[1:], outputs[1:], strict=True)
                if values.shape[:1] == (len(items),)  # others are not about single images
            }
        outcomes[claimed.item] = Outcome(result=result)
    return outcomes


def _listed(values: npt.NDArray[Any]) -> list[Any]:
    """Return the first values of one image as JSON can hold them."""
    return [_plain(v) for v in np.asarray(values).reshape(-1)[:_MOST_EXTRA_VALUES].tolist()]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, bool | int | str) else str(value)

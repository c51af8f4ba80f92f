"""The answers of a published version under each way of preparing images that may be meant."""

from typing import Any

import numpy as np

from freezing.proving.grid import PreprocessingCandidate, geometries, scalings
from freezing.proving.prove import Floats, answer_alike
from freezing.proving.scoring import scores_of
from freezing.proving.tensors import Pictures, Pixels, inputs_of
from freezing.running.failures import NotRunnableError
from freezing.running.limited_runs import limited
from freezing.running.orders import ComparisonOrder
from freezing.running.reasons import reason
from freezing.running.steps import FreezeStep, Report
from worker.errors import ExamplesError, PermafrostError
from worker.images.decode import Limits
from worker.images.examples import Example
from worker.inference.graph import LoadedGraph
from worker.inference.scores import rank, to_scores
from worker.models.assumptions import option_text, republishing
from worker.models.comparison import Answer, Comparison, Way
from worker.out_of_memory import is_out_of_memory

_HELD: frozenset[str] = frozenset()  # nothing is: each field may be meant otherwise


def compare(report: Report, order: ComparisonOrder) -> Any:
    """Return a `Comparison` as JSON; called in a process of its own.

    Raises `ExamplesError` for images that cannot be read, `NotRunnableError`, and what loading a
    version raises.
    """
    manifest = order.manifest
    report.step(FreezeStep.COMPARE)
    limits = Limits(pixels=order.most_pixels)
    pictures = Pictures([Example(path=path, label="") for path in order.samples], limits)
    if pictures.unreadable:
        raise ExamplesError(f"Not every image can be read. {pictures.unreadable[0]}")
    with limited("running the model on the images"):
        try:
            graph = LoadedGraph(manifest, order.source, order.serving.settings, warm=False)
            ways = _ways(graph, pictures, order.top)
        except (PermafrostError, MemoryError):
            raise
        except Exception as error:  # whatever the runtimes raise
            if is_out_of_memory(error):
                raise
            raise NotRunnableError(f"The model cannot be run: {reason(error)}.") from error
    return Comparison(
        model=manifest.name,
        version=manifest.version,
        images=[path.name for path in order.samples],
        ways=ways,
    ).model_dump(mode="json")


def _ways(graph: LoadedGraph, pictures: Pictures, top: int) -> list[Way]:
    """Return what is served, other values and colours, and other ways of resizing that matter."""
    served = graph.preprocessing
    resized: dict[tuple[str, str], Pixels] = {}

    def answers(candidate: PreprocessingCandidate) -> Floats:
        prepared = candidate.preprocessing
        way = prepared.resize, prepared.filter
        if way not in resized:
            resized[way] = pictures.resized(prepared)
        inputs = inputs_of(resized[way], prepared, graph.dtype)
        outputs = [graph.run_at_once(one[np.newaxis])[0] for one in inputs]
        rows = [np.asarray(output, np.float32).reshape(-1) for output in outputs]
        return np.stack(rows)

    found = [(one, answers(one)) for one in scalings(served, _HELD, graph.dtype)]
    own = found[0][0]
    different = [scores_of(found[0][1], graph.scores)]
    for way in geometries(own, _HELD)[1:]:
        rows = answers(way)
        scores = scores_of(rows, graph.scores)
        if not any(answer_alike(scores, other) for other in different):
            different.append(scores)
            found.append((way, rows))
    return [_way(graph, one, rows, top, is_served=one is own) for one, rows in found]


def _way(
    graph: LoadedGraph, one: PreprocessingCandidate, rows: Floats, top: int, *, is_served: bool
) -> Way:
    manifest = graph.manifest
    said = one.spec.model_dump(mode="json", exclude_none=True)
    with np.errstate(all="ignore"):  # of what the model was not made for
        scores = to_scores(np.asarray(rows, np.float32), graph.scores)
    return Way(
        called=f"{one.called}, {one.called_resizing}",
        served=is_served,
        preprocessing=one.spec,
        command=(
            f"{republishing(manifest.name, manifest.version)} --preprocessing {option_text(said)}"
        ),
        answers=[
            [
                Answer(
                    label=entry["label"],
                    score=entry["score"] if np.isfinite(entry["score"]) else None,
                )
                for entry in rank(row, manifest.labels, top)
            ]
            for row in scores
        ],
    )

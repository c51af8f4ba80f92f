"""From the source to a written graph and the source's own answers, all in one process."""

from dataclasses import replace
from typing import Any

from freezing.choosing.usage import gives_scores
from freezing.converting.parameters import total
from freezing.graph.graph import Graph
from freezing.graph.roles import count_removed
from freezing.running.orders import FreezeOrder
from freezing.running.steps import FreezeStep, Report
from freezing.source_stage import ask
from freezing.sources.opening import open_source
from freezing.verifying.score_kind import resolve_scores
from worker.formatting import size
from worker.models.assumptions import assumption
from worker.models.manifest import Tensor
from worker.sources.choice import SourceChoice


def freeze_source(report: Report, order: FreezeOrder) -> Any:
    """Freeze the source into the file `graph` and write what the source itself answers beside it.

    Returns a `FromSource` as JSON. Raises `FreezeError` and its subclasses; nothing needs to be
    undone, since only the graph's folder is written to.
    """
    request, graph_path = order.request, order.graph
    report.step(FreezeStep.READ)
    choice = SourceChoice(
        signature=request.signature,
        checkpoint=request.checkpoint,
        allow_code=order.bounds.allow_code,
        reach=order.bounds.read,
    )
    opened = open_source(order.source, choice)
    report.log(
        f"Read the {opened.kind_words} {opened.name}: {len(opened.graph_def.node)} nodes, "
        f"{size(opened.bytes)}."
    )
    asked = ask(report, order, opened, request)
    made, answers = asked.made, asked.answers
    prepared, proven, warnings = asked.prepared, asked.proven, asked.warnings
    preprocessing = None if prepared is None else prepared.preprocessing
    scores = request.scores
    if preprocessing is not None and gives_scores(
        request, asked.plan, answers.together[0], made.answer, asked.labels, warnings
    ):
        scores = resolve_scores(
            request.scores, made.answer, answers.rows, warnings, loss=opened.loss
        )
    warnings += asked.unlike
    basis = None if prepared is None else prepared.basis
    if scores is not None:  # else it is not served
        warnings += filter(None, [assumption(request.name, preprocessing, basis)])
    batch = None if made.is_freed else answers.batch
    outcome = {
        "inputs": [_with_batch(made.input, batch).model_dump()],
        "outputs": [tensor.model_dump() for tensor in made.outputs],
        "batch": {"source": asked.batch, "served": batch},
        "preprocessing": None if preprocessing is None else preprocessing.model_dump(),
        "basis": None if basis is None else basis.model_dump(mode="json"),
        "labels": asked.labels,
        "scores": scores,
        "source": opened.describe(),
        "bytes_before": opened.bytes,
        "bytes_after": graph_path.stat().st_size,
        "nodes_before": len(opened.graph_def.node),
        "nodes_after": len(made.names),
        "parameters": total(made.layers),
        "layers": made.layers,
        "removed": count_removed(Graph(opened.graph_def), made.names),
        "audit": made.audit,
        "examples": None if proven is None else proven.proof.model_dump(mode="json"),
        "warnings": list(dict.fromkeys(warnings)),
    }
    if made.is_freed:  # all together and one by one, each row must be the source's
        answers = replace(answers, batch=None, alone=answers.together)
    expected = answers.save(asked.plan, asked.inputs, graph_path.parent)
    return {
        "outcome": outcome,
        "expected": expected.model_dump(mode="json"),
        "check": None if proven is None else proven.check.model_dump(mode="json"),
    }


def _with_batch(tensor: Tensor, batch: int | None) -> Tensor:
    """Return the tensor with the batch size that the graph insists on."""
    if batch is None or not tensor.shape or tensor.shape[0] is not None:
        return tensor
    return tensor.model_copy(update={"shape": [batch, *tensor.shape[1:]]})

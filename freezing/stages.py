"""The stages of a freeze, each in a process of its own: one that has the source, one per graph.

What passes from one to the next is JSON and files in the folder of the graph, so that a model of
250 MB is in memory once.
"""

import shutil
import tempfile
from pathlib import Path

from freezing.accelerate import accelerate
from freezing.optimising.batch import BatchNotFreeError
from freezing.optimising.optimise import optimise_file
from freezing.optimising.optimised import OptimiseCounts, OptimisedFile
from freezing.outcome import FreezeOutcome, FromSource, SourceOutcome
from freezing.pipeline import freeze_source
from freezing.proving.freeze_examples import after_freezing
from freezing.running.child_events import checked
from freezing.running.failures import UnforeseenError
from freezing.running.forks import Apart, apart
from freezing.running.orders import FreezeOrder
from freezing.running.steps import FreezeStep, Report
from freezing.verifying.answers import Expected
from freezing.verifying.trial_serving import measure
from freezing.verifying.verification import GraphComparison
from freezing.verifying.verify import verify
from worker.errors import FreezeError, VerificationError

# What may be wrong with an optimised graph, of which the graph that it was made from knows nothing.
_NOT_ACCEPTED = (FreezeError, MemoryError, UnforeseenError)


def run(order: FreezeOrder, report: Report, *, apart: Apart = apart) -> FreezeOutcome:
    """Freeze what the order says into its `graph`; return what a manifest and a result need.

    Raises `FreezeError` and its subclasses, `MemoryError` and `UnforeseenError`.
    """
    graph, tolerance, request = order.graph, order.tolerance, order.request
    made = checked(FromSource, apart(report, freeze_source, order))
    outcome = made.outcome
    expected = made.expected.model_copy(update={"folder": graph.parent})
    optimised = verification = None
    if request.optimise:
        report.step(FreezeStep.OPTIMISE)
        outcome, optimised, verification = _optimise(
            report, graph, outcome, expected, tolerance, apart
        )
    if verification is None:
        report.step(FreezeStep.VERIFY)
        verification = _verify(report, graph, outcome, expected, tolerance, apart)
    report.log(
        f"On {verification.samples} samples the largest difference is "
        f"{verification.max_abs_difference:.2g}; the best class is the same for "
        f"{verification.top1_agreement:.0%} of them."
    )
    accelerated = None
    if request.runtime == "onnxruntime":
        report.step(FreezeStep.CONVERT)
        accelerated = accelerate(report, graph, expected, tolerance, apart=apart)
    if outcome.examples is not None and made.check is not None:
        served = graph.with_suffix(".onnx") if accelerated else graph
        found = after_freezing(report, served, made.check, apart=apart)
        examples = outcome.examples.model_copy(update={"after": found})
        outcome = outcome.model_copy(update={"examples": examples})
    measured = None
    draft = outcome.draft(request.name)
    if draft.classifies:
        onnx = graph.with_suffix(".onnx") if accelerated else None
        measured = measure(report, graph, onnx, draft, order.serving, apart=apart)
    return FreezeOutcome(
        **dict(outcome),
        measured=measured,
        optimised=optimised,
        verification=verification,
        runtime=request.runtime,
        accelerated=accelerated,
    )


def _verify(
    report: Report,
    graph: Path,
    outcome: SourceOutcome,
    expected: Expected,
    tolerance: float,
    apart: Apart,
) -> GraphComparison:
    try:
        return verify(report, graph, expected, tolerance, apart=apart)
    except VerificationError as error:
        if outcome.batch.source in {None, outcome.batch.served}:
            raise
        why = error.message.partition(". ")[0].rstrip(".")
        raise BatchNotFreeError(why[:1].lower() + why[1:]) from error


def _optimise(
    report: Report,
    graph: Path,
    outcome: SourceOutcome,
    expected: Expected,
    tolerance: float,
    apart: Apart,
) -> tuple[SourceOutcome, OptimiseCounts | None, GraphComparison | None]:
    """Put the optimised graph in the place of the graph file, if verification accepts it.

    Returns the outcome with what that changes, what was done, and how far what was put there is
    from the source: None where the graph file is as it was, since nothing was to be done, or since
    what came out was not accepted, which is a warning.
    """
    tensors = [tensor.name for tensor in (expected.input, *expected.outputs)]
    folder = Path(tempfile.mkdtemp(prefix="optimised-", dir=graph.parent))
    target = folder / graph.name
    try:
        given = apart(report, optimise_file, graph, target, tensors, write=[folder])
        done = checked(OptimisedFile, given)
        verification = None
        if done.is_written:
            report.step(FreezeStep.VERIFY)
            verification = verify(
                report, target, expected, tolerance, called="the optimised graph", apart=apart
            )
            target.replace(graph)
    except _NOT_ACCEPTED as error:
        why = str(error).partition(". ")[0].rstrip(".") or "memory ran out"
        report.log(f"Without optimising then: {why}.")
        warnings = [*outcome.warnings, f"The graph was not optimised: {why}."]
        return outcome.model_copy(update={"warnings": warnings}), None, None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    changed: dict[str, object] = {"warnings": [*outcome.warnings, *done.warnings]}
    if verification is not None:
        changed |= {
            "audit": done.audit,
            "bytes_after": graph.stat().st_size,
            "nodes_after": done.optimised.nodes_after,
        }
    return outcome.model_copy(update=changed), done.optimised, verification

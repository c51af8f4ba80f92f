"""The stages of a freeze, each in a process of its own: one that has the source, one per graph.

What passes from one to the next is JSON and files in the folder of the graph, so that a model of
250 MB is in memory once.
"""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from freezing.accelerate import accelerate
from freezing.optimising.batch import BatchNotFreeError
from freezing.optimising.optimise import optimise_file
from freezing.outcome import SourceOutcome, checked
from freezing.pipeline import freeze_source
from freezing.proving.freezes import after_freezing
from freezing.running.failures import UnforeseenError
from freezing.running.forks import Apart, apart
from freezing.running.steps import Report, Step
from freezing.verifying.answers import Expected
from freezing.verifying.serving import measure
from freezing.verifying.verify import Verification, verify
from worker.errors import FreezeError, VerificationError

_ABOUT = ("inputs", "outputs", "labels", "preprocessing", "scores")  # of a manifest
# What may be wrong with an optimised graph, of which the graph that it was made from knows nothing.
_NOT_ACCEPTED = (FreezeError, MemoryError, UnforeseenError)


def run(order: dict[str, Any], report: Report, *, apart: Apart = apart) -> dict[str, Any]:
    """Freeze what the order says into its `graph`; return what a manifest and a result need.

    Raises `FreezeError` and its subclasses, `MemoryError` and `UnforeseenError`.
    """
    graph, tolerance = Path(order["graph"]), order["tolerance"]
    made = apart(report, freeze_source, order)
    outcome = checked(SourceOutcome, made.get("outcome"))
    expected = Expected.parse({**made["expected"], "folder": str(graph.parent)})
    verification = None
    if order["request"]["optimise"]:
        report.step(Step.OPTIMISE)
        verification = _optimise(report, graph, outcome, expected, tolerance, apart)
    if verification is None:
        report.step(Step.VERIFY)
        verification = _verify(report, graph, outcome, expected, tolerance, apart)
    report.log(
        f"On {verification.samples} samples the largest difference is "
        f"{verification.max_abs_difference:.2g}; the best class is the same for "
        f"{verification.top1_agreement:.0%} of them."
    )
    accelerated = None
    if order["request"]["runtime"] == "onnxruntime":
        report.step(Step.CONVERT)
        accelerated = accelerate(report, graph, expected, tolerance, apart=apart)
    if outcome["examples"] is not None:
        served = graph.with_suffix(".onnx") if accelerated else graph
        found = after_freezing(report, served, made["check"], apart=apart)
        outcome["examples"] = {**outcome["examples"], "after": found.model_dump()}
    measured = None
    if outcome["preprocessing"] is not None and outcome["scores"] is not None:
        about = {"name": order["request"]["name"], **{name: outcome[name] for name in _ABOUT}}
        onnx = str(graph.with_suffix(".onnx")) if accelerated else None
        measured = measure(report, str(graph), onnx, about, order["serving"], apart=apart)
    return {
        **outcome,
        "measured": measured,
        "optimised": outcome.get("optimised"),
        "verification": verification.as_json(),
        "runtime": order["request"]["runtime"],
        "accelerated": accelerated,
    }


def _verify(
    report: Report,
    graph: Path,
    outcome: dict[str, Any],
    expected: Expected,
    tolerance: float,
    apart: Apart,
) -> Verification:
    batch = outcome["batch"]
    try:
        return verify(report, graph, expected, tolerance, apart=apart)
    except VerificationError as error:
        if batch["source"] is None or batch["source"] == batch["served"]:
            raise
        why = error.message.partition(". ")[0].rstrip(".")
        raise BatchNotFreeError(why[:1].lower() + why[1:]) from error


def _optimise(
    report: Report,
    graph: Path,
    outcome: dict[str, Any],
    expected: Expected,
    tolerance: float,
    apart: Apart,
) -> Verification | None:
    """Put the optimised graph in the place of the graph file, if verification accepts it.

    Adds to the outcome what was done. Returns None where the graph file is as it was: nothing was
    to be done, or what came out was not accepted, which is a warning.
    """
    tensors = [tensor.name for tensor in (expected.input, *expected.outputs)]
    folder = Path(tempfile.mkdtemp(prefix="optimised-", dir=graph.parent))
    target = folder / graph.name
    outcome["optimised"] = None
    try:
        done = apart(report, optimise_file, str(graph), str(target), tensors, write=[folder])
        verification = None
        if done["is_written"]:
            report.step(Step.VERIFY)
            verification = verify(
                report, target, expected, tolerance, called="the optimised graph", apart=apart
            )
            target.replace(graph)
    except _NOT_ACCEPTED as error:
        why = str(error).partition(". ")[0].rstrip(".") or "memory ran out"
        report.log(f"Without optimising then: {why}.")
        outcome["warnings"].append(f"The graph was not optimised: {why}.")
        return None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    outcome["optimised"] = done["optimised"]
    outcome["warnings"] += done["warnings"]
    if verification is not None:
        outcome["audit"] = done["audit"]
        outcome["bytes_after"] = graph.stat().st_size
        outcome["nodes_after"] = done["optimised"]["nodes_after"]
    return verification

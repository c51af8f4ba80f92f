"""The stages of a freeze, each in a process of its own: one that has the source, one per graph.

What passes from one to the next is JSON and files in the folder of the graph, so that a model of
250 MB is in memory once.
"""

from pathlib import Path
from typing import Any

from freezing.answers import Expected
from freezing.forks import Apart, apart
from freezing.onnx import accelerate
from freezing.pipeline import freeze_source
from freezing.steps import Report, Step
from freezing.verify import verify


def run(order: dict[str, Any], report: Report, *, apart: Apart = apart) -> dict[str, Any]:
    """Freeze what the order says into its `graph`; return what a manifest and a result need.

    Raises `FreezeError` and its subclasses, `MemoryError` and `UnforeseenError`.
    """
    graph, tolerance = Path(order["graph"]), order["tolerance"]
    made = apart(report, freeze_source, order)
    outcome, expected = made["outcome"], Expected.parse(made["expected"])
    report.step(Step.VERIFY)
    verification = verify(report, graph, expected, tolerance, apart=apart)
    report.log(
        f"On {verification.samples} samples the largest difference is "
        f"{verification.max_abs_difference:.2g}; the best class is the same for "
        f"{verification.top1_agreement:.0%} of them."
    )
    accelerated = None
    if order["request"]["runtime"] == "onnxruntime":
        report.step(Step.CONVERT)
        accelerated = accelerate(report, graph, expected, tolerance, apart=apart)
    return {
        **outcome,
        "verification": verification.as_json(),
        "runtime": order["request"]["runtime"],
        "accelerated": accelerated,
    }

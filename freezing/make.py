"""A plan made into a graph file: frozen, optimised, audited, written."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from freezing.audit import audit
from freezing.freeze import freeze
from freezing.graphs import Endpoint
from freezing.optimise import optimise
from freezing.parameters import Layer
from freezing.plan import Plan
from freezing.scores import final_op
from freezing.sources.source import Values


@dataclass(frozen=True, kw_only=True)
class Made:
    """What is told of a frozen graph once it is on disk and no longer in memory."""

    names: frozenset[str]  # of its nodes
    final_op: str  # what computes the first output
    layers: list[Layer]
    audit: dict[str, Any]
    optimised: dict[str, int] | None  # what optimising did; None where it was not asked for
    warnings: list[str]


def make(path: Path, plan: Plan, values: Values, *, optimised: bool) -> Made:
    """Write the frozen graph of a plan to `path`, optimised or not.

    Raises what `freeze` and `audit` raise.
    """
    frozen = freeze(plan, values)
    tensors = [tensor.name for tensor in (plan.input, *plan.outputs)]
    done = optimise(frozen.graph, tensors, frozen.warnings) if optimised else None
    audited = audit(frozen.graph)
    frozen.graph.write(path)
    return Made(
        names=frozenset(frozen.graph.nodes),
        final_op=final_op(frozen.graph, Endpoint.parse(plan.outputs[0].name)),
        layers=frozen.layers,
        audit=audited,
        optimised=None if done is None else asdict(done),
        warnings=frozen.warnings,
    )

"""Serving one image at a time, where the answer for an image changes with the images beside it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import tensorflow as tf

from freezing.choosing.plan import Plan
from freezing.graph.graph import Graph
from freezing.graph.suggestions import as_option, suggested_value
from freezing.verifying.row_independence import is_constant
from freezing.verifying.verify import Answers
from worker.errors import VerificationError


class RowsNotIndependentError(VerificationError):
    """The images of a batch would change each other's answers, and no image can be run alone."""

    code = "rows_not_independent"


def one_at_a_time(
    answers: Answers, plan: Plan, causes: Sequence[str], warnings: list[str]
) -> Answers:
    """Return the source's answers to each image alone, which are those to be served.

    `causes` are nodes that normalise with the statistics of the batch. What a person should know is
    added to `warnings`. Raises `RowsNotIndependentError` where there are no such answers, where all
    of them are the same, and where a switch was left on that makes it so.
    """
    why = f"The answer for an image changes with the images beside it{_by(causes)}"
    switches = _left_on(plan.graph)
    if switches:
        raise RowsNotIndependentError(
            f"{why}: by the defaults of its placeholders the network is in training mode. "
            f"Set {' '.join(as_option(name, value) for name, value in switches.items())}"
        )
    instead = _instead(plan, causes)
    if answers.alone is None:
        raise RowsNotIndependentError(
            f"{why}, and the graph takes exactly {answers.batch} images at a time, so that images "
            f"of different people would change each other's answers. {instead}"
        )
    if is_constant(answers.alone[0]):
        raise RowsNotIndependentError(
            f"{why}, and alone every image gets the same answer, so that it cannot be served one "
            f"at a time either. {instead}"
        )
    warnings.append(
        f"{why}. So the model is served one image at a time, as the source answers to each image "
        f"alone. {instead}"
    )
    return replace(answers, batch=1, together=answers.alone, alone=None)


def _by(causes: Sequence[str]) -> str:
    if not causes:
        return ""
    more = f" (and {len(causes) - 1} more)" if len(causes) > 1 else ""
    return f", because '{causes[0]}'{more} normalises with the statistics of the batch"


def _left_on(graph: Graph) -> dict[str, Any]:
    """Return the placeholders whose default is another value than they have outside of training."""
    found: dict[str, Any] = {}
    for node in graph:
        if node.op != "PlaceholderWithDefault":
            continue
        default = graph.nodes[graph.data_inputs(node.name)[0].node]
        value = suggested_value(node)
        if value is None or default.op != "Const":
            continue
        if bool(tf.make_ndarray(default.attr["value"].tensor).any()) != bool(value):
            found[node.name] = value
    return found


def _instead(plan: Plan, causes: Sequence[str]) -> str:
    normalising = plan.normalising
    if normalising.could_use_averages:
        first, *others = normalising.variables
        more = f" (and {len(others)} more)" if others else ""
        return (
            f"The moving averages that training kept, '{first}'{more}, can be taken instead: give "
            "`statistics` as `moving` (--statistics moving)."
        )
    if normalising.never_moved:
        return (
            "Moving averages of these are in the source, but training never moved them, so they "
            "cannot be taken instead."
        )
    if causes:
        return (
            "If there is a placeholder for training, set it (--set is_training=false); else export "
            "the model for inference, with training=False."
        )
    return "If that is not meant, name the node before images are mixed with `outputs` (--output)."

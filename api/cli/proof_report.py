"""What was tried on the examples of a freeze, as a person reads it."""

from rich.console import Console
from rich.text import Text

from api.cli.escaping import escaped
from api.cli.output import Column, table
from worker.formatting import number
from worker.models.proof import Proof

MOST_TRIED = 20  # ways of preparing images listed


def show_proof(out: Console, proof: Proof) -> None:
    """Print what was tried on the examples, the best first."""
    found = proof.candidates
    rows = [
        (
            f"{escaped(one.called)}{' (taken)' if one.taken else ''}",
            f"{number(one.right)} of {number(one.of)}",
            f"{one.log_likelihood:.3g}",
            _odds(one.odds),
        )
        for one in [*found[:MOST_TRIED], *(one for one in found[MOST_TRIED:] if one.taken)]
    ]
    columns = (
        Column(title="tried on the examples", wide=True),
        Column(title="right", justify="right"),
        Column(title="mean log-likelihood", justify="right"),
        Column(title="less likely", justify="right"),
    )
    table(out, columns, rows)
    if len(found) > len(rows):
        out.print(f"and {len(found) - len(rows)} worse ones, in the job as JSON")
    if proof.after:
        out.print(
            f"Right examples: {proof.before.right} of {proof.before.of} before freezing, "
            f"{proof.after.right} of {proof.after.of} after."
        )
    for sentence in proof.unreadable:
        out.print(Text(f"Left out: {escaped(sentence)}", style="yellow"))


def _odds(odds: float | None) -> str:
    if odds is None:
        return "over 1,000,000 times"
    return "" if odds <= 1 else f"{odds:.3g} times"

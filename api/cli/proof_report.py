"""What was tried on the examples of a freeze, as a person reads it."""

from typing import Any

from rich.console import Console
from rich.text import Text

from api.cli.output import Column, table
from api.cli.text import number, printable

MOST_TRIED = 20  # ways of preparing images listed


def show_proof(out: Console, proof: dict[str, Any]) -> None:
    """Print what was tried on the examples, the best first."""
    found = [one for one in proof.get("candidates") or [] if isinstance(one, dict)]
    shown = found[:MOST_TRIED]
    rows = [
        (
            f"{printable(one.get('called'))}{' (taken)' if one.get('taken') else ''}",
            f"{number(one.get('right'))} of {number(one.get('of'))}",
            f"{one.get('log_likelihood'):.3g}",
            _odds(one.get("odds")),
        )
        for one in [*shown, *(one for one in found[MOST_TRIED:] if one.get("taken"))]
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
    after = proof.get("after") or {}
    before = proof.get("before") or {}
    if after:
        out.print(
            f"Right examples: {before.get('right')} of {before.get('of')} before freezing, "
            f"{after.get('right')} of {after.get('of')} after."
        )
    for sentence in proof.get("unreadable") or []:
        out.print(Text(f"Left out: {printable(sentence)}", style="yellow"))


def _odds(odds: object) -> str:
    if not isinstance(odds, int | float):
        return "over 1,000,000 times"
    return "" if odds <= 1 else f"{odds:.3g} times"

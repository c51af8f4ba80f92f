"""On what a version's preprocessing rests, as a person reads it."""

from typing import Any

from rich.console import Console
from rich.text import Text

from api.cli.options import again
from api.cli.text import printable
from worker.models.formula import formula


def basis_text(basis: object) -> str:
    """Return what it rests on, field by field, and what shows it."""
    if not isinstance(basis, dict):
        return ""
    fields = basis.get("fields") or {}
    each = ", ".join(f"{name} {kind}" for name, kind in fields.items())
    reasons = "; ".join(str(reason) for reason in basis.get("reasons") or [])
    return f"{basis.get('kind')}{f': {each}' if each else ''}{f' ({reasons})' if reasons else ''}"


def preprocessing_text(fields: object) -> str:
    """Return how images are prepared: `rgb, stretch to 96x96, NHWC, value ÷ 255`."""
    if not isinstance(fields, dict) or not fields:
        return ""
    height, width = fields["size"]
    filter_used = f" ({fields['filter']})" if fields.get("filter") else ""
    standardised = ", standardised" if fields.get("standardise") else ""
    return (
        f"{fields['color']}, {fields['resize']} to {height}x{width}{filter_used}, "
        f"{fields['layout']}, {formula(fields['scale'], fields['mean'], fields['std'])}"
        f"{standardised}"
    )


def show_choices(out: Console, choices: list[dict[str, Any]], server: str) -> None:
    """Print what may be meant, each with the command that makes it so on `server`."""
    for choice in choices:
        command = printable(again(str(choice.get("command")), server))
        out.print(Text(f"If {printable(choice.get('reason'))}:"))
        out.print(Text(f"  {command}", style="bold"), soft_wrap=True)

"""On what a version's preprocessing rests, as a person reads it."""

from collections.abc import Iterable

from rich.console import Console
from rich.text import Text

from api.cli.escaping import escaped
from api.cli.options import again
from worker.models.basis import Basis
from worker.models.formula import formula
from worker.models.preprocessing import Preprocessing


def basis_text(basis: Basis | None) -> str:
    """Return what it rests on, field by field, and what shows it."""
    if basis is None:
        return ""
    each = ", ".join(f"{name} {kind}" for name, kind in basis.fields.items())
    reasons = "; ".join(basis.reasons)
    return f"{basis.kind}{f': {each}' if each else ''}{f' ({reasons})' if reasons else ''}"


def preprocessing_text(prepared: Preprocessing | None) -> str:
    """Return how images are prepared: `rgb, stretch to 96x96, NHWC, value ÷ 255`."""
    if prepared is None:
        return ""
    height, width = prepared.size
    filter_used = f" ({prepared.filter})" if "filter" in prepared.model_fields_set else ""
    standardised = ", standardised" if prepared.standardise else ""
    return (
        f"{prepared.color}, {prepared.resize} to {height}x{width}{filter_used}, "
        f"{prepared.layout}, {formula(prepared.scale, prepared.mean, prepared.std)}{standardised}"
    )


def show_choices(out: Console, choices: Iterable[tuple[str, str]], server: str) -> None:
    """Print what may be meant: when, and the command that makes it so on `server`."""
    for reason, command in choices:
        out.print(Text(f"If {escaped(reason)}:"))
        out.print(Text(f"  {escaped(again(command, server))}", style="bold"), soft_wrap=True)

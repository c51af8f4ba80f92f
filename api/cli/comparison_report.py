"""The answers of a model under each way of preparing images, as a person reads them."""

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from api.cli import program
from api.cli.escaping import escaped
from api.cli.output import Column, table
from worker.formatting import score
from worker.models.comparison import Answer, Comparison


def show_comparison(
    out: Console, result: Comparison, again: Callable[[str], str] = program.command
) -> None:
    """Print a comparison's result; `again` makes a command one for the same server."""
    columns = [
        Column(title="", justify="right"),
        Column(title="prepared with", wide=True),
        *(Column(title=escaped(name), wide=True) for name in result.images),
    ]
    rows = [
        (
            str(number),
            f"{escaped(way.called)}{' (as it is now)' if way.served else ''}",
            *map(_answers, way.answers),
        )
        for number, way in enumerate(result.ways, 1)
    ]
    table(out, columns, rows)
    out.print("\nTo have images prepared otherwise from now on, without freezing again:")
    for number, way in enumerate(result.ways, 1):
        if way.command and not way.served:
            line = f"{number:>3}  {again(escaped(way.command))}"
            out.print(Text(line), soft_wrap=True)


def _answers(answers: Sequence[Answer]) -> str:
    return ", ".join(f"{escaped(answer.label)} {score(answer.score)}" for answer in answers)

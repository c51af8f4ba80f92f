"""The answers of a model under each way of preparing images, as a person reads them."""

from collections.abc import Callable
from typing import Any

from rich.console import Console
from rich.text import Text

from api.cli import program
from api.cli.output import Column, table
from api.cli.text import printable, score


def show_comparison(
    out: Console, result: dict[str, Any], again: Callable[[str], str] = program.command
) -> None:
    """Print a comparison's result; `again` makes a command one for the same server."""
    images = [printable(name) for name in result.get("images") or []]
    ways = [way for way in result.get("ways") or [] if isinstance(way, dict)]
    columns = [
        Column(title="", justify="right"),
        Column(title="prepared with", wide=True),
        *(Column(title=name, wide=True) for name in images),
    ]
    rows = [
        (
            str(number),
            f"{printable(way.get('called'))}{' (as it is now)' if way.get('served') else ''}",
            *(_answers(found) for found in way.get("answers") or []),
        )
        for number, way in enumerate(ways, 1)
    ]
    table(out, columns, rows)
    out.print("\nTo have images prepared otherwise from now on, without freezing again:")
    for number, way in enumerate(ways, 1):
        command = printable(way.get("command") or "")
        if command and not way.get("served"):
            line = f"{number:>3}  {again(command)}"
            out.print(Text(line), soft_wrap=True)


def _answers(found: object) -> str:
    answers = found if isinstance(found, list) else []
    return ", ".join(
        f"{printable(answer.get('label'))} {score(answer.get('score'))}"
        for answer in answers
        if isinstance(answer, dict)
    )

"""The documentation of all settings, made from their fields.

Write it anew with `python -m worker.settings_table > docs/settings.md`.
"""

import sys
from collections.abc import Iterator

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from worker.settings import MIB, Settings

_HEAD = """\
# Settings

Every setting is an environment variable, read once when a program starts. This page is made from
the code: `python -m worker.settings_table > docs/settings.md`.

| variable | default | meaning |
| --- | --- | --- |
"""


def settings_table() -> str:
    """Return the page, in Markdown."""
    return _HEAD + "".join(_rows())


def variables(name: str, field: FieldInfo) -> list[str]:
    """Return the environment variables that a field is read from, the one that wins first."""
    if isinstance(field.validation_alias, AliasChoices):
        return [str(choice) for choice in field.validation_alias.choices]
    return [f"PERMAFROST_{name.upper()}"]


def _rows() -> Iterator[str]:
    for name, field in Settings.model_fields.items():
        yield row(name, field)


def row(name: str, field: FieldInfo) -> str:
    """Return a setting's row: its variables, its default and what it means."""
    names = " or ".join(f"`{variable}`" for variable in variables(name, field))
    return f"| {names} | {_default(field)} | {field.description} |\n"


def _default(field: FieldInfo) -> str:
    value = field.default
    if value == "" or isinstance(value, SecretStr):
        return ""
    if isinstance(value, int) and value and value % MIB == 0:
        return f"`{value}` ({value // MIB} MiB)"
    return f"`{value}`"


if __name__ == "__main__":
    sys.stdout.write(settings_table())

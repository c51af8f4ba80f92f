"""The documentation of the settings, generated from their fields.

`python -m worker.settings_table > docs/settings.md` writes the page of all settings. The limits
that protect against strangers also stand in tables of docs/security.md:
`pytest tests/unit/worker/test_settings.py --write-docs` writes those.
"""

import re
import sys
from collections.abc import Iterator

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from worker.formatting import binary_size
from worker.settings import MIB, Settings, variables

_HEAD = """\
# Settings

Every setting is an environment variable, read once when a program starts. This page is made from
the code: `python -m worker.settings_table > docs/settings.md`.

| variable | default | meaning |
| --- | --- | --- |
"""
_LIMITS_HEAD = "| setting | default | what it limits |\n| --- | --- | --- |\n"
BEGIN, END = "<!-- limits: made from the settings -->", "<!-- end of limits -->"

# A setting is a limit by its name.
_LIMIT = re.compile(
    r".*max_|most_|least_|.*_limit|.*_share|.*_rate$|.*_burst$|.*_memory_bytes$|.*_max_memory$|"
    r".*_ttl_s$|.*_timeout_s$|.*_concurrency$|.*_ratio$|spool_bytes$|memory_limit"
)
# Which table a limit stands in, by its name. A limit that none of these matches stands in the last.
_TOPICS = {
    "Uploads and archives": r"max_(image|model|unpacked|request|upload|archive)|spool|.*upload",
    "Decoding and running": r"decode_|run_|task_|load|warm|worker_memory|max_attempts|graph_memory",
    "Freezing": r"freeze_|verif",
    "Queues and Redis": r"max_.*queue|queue_|memory_limit|redis_max|.*_ttl_s|max_batch_queue",
    "Clients": r"client_|max_wait|.*rate|.*share|.*burst|max_.*connections",
    "Webhooks": r"webhook_",
}


def settings_table() -> str:
    """Return the page, in Markdown."""
    return _HEAD + "".join(_rows())


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
        return f"`{value}` ({binary_size(value)})"
    return f"`{value}`"


def is_limit(name: str) -> bool:
    """Whether a setting is a limit."""
    return _LIMIT.match(name) is not None


def limits_tables() -> str:
    """Return the tables in Markdown, with the marks between which they stand on the page."""
    found: dict[str, list[str]] = {topic: [] for topic in (*_TOPICS, "Others")}
    for name, field in Settings.model_fields.items():
        if is_limit(name):
            topic = next((t for t, names in _TOPICS.items() if re.match(names, name)), "Others")
            found[topic].append(row(name, field))
    parts = [
        f"**{topic}**\n\n{_LIMITS_HEAD}{''.join(rows)}" for topic, rows in found.items() if rows
    ]
    return f"{BEGIN}\n\n" + "\n".join(parts) + f"\n{END}"


def with_limits(page: str) -> str:
    """Return a page with its tables as they are now."""
    before, _, rest = page.partition(BEGIN)
    return before + limits_tables() + rest.partition(END)[2]


if __name__ == "__main__":
    sys.stdout.write(settings_table())

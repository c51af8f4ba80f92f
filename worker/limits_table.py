"""The limits that hold strangers in, as the table of docs/security.md, made from the settings.

A setting is a limit by its name; which table it stands in is said here, and what is new stands in
the last one until it is. Write the page's tables anew with
`pytest tests/unit/worker/test_settings.py --write-docs`.
"""

import re

from worker.settings import Settings
from worker.settings_table import row

_HEAD = "| setting | default | what it limits |\n| --- | --- | --- |\n"
BEGIN, END = "<!-- limits: made from the settings -->", "<!-- end of limits -->"

_LIMIT = re.compile(
    r".*max_|most_|least_|.*_limit|.*_share|.*_rate$|.*_burst$|.*_memory_bytes$|.*_max_memory$|"
    r".*_ttl_s$|.*_timeout_s$|.*_concurrency$|.*_ratio$|spool_bytes$|memory_limit"
)
_TOPICS = {
    "Uploads and archives": r"max_(image|model|unpacked|request|upload|archive)|spool|.*upload",
    "Decoding and running": r"decode_|run_|task_|load|warm|worker_memory|max_attempts|graph_memory",
    "Freezing": r"freeze_|verif",
    "Queues and Redis": r"max_.*queue|queue_|memory_limit|redis_max|.*_ttl_s|max_batch_queue",
    "Clients": r"client_|max_wait|.*rate|.*share|.*burst|max_.*connections",
    "Webhooks": r"webhook_",
}


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
    parts = [f"**{topic}**\n\n{_HEAD}{''.join(rows)}" for topic, rows in found.items() if rows]
    return f"{BEGIN}\n\n" + "\n".join(parts) + f"\n{END}"


def with_limits(page: str) -> str:
    """Return a page with its tables as they are now."""
    before, _, rest = page.partition(BEGIN)
    return before + limits_tables() + rest.partition(END)[2]

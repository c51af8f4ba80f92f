"""Which lookup tables can become constants."""

from collections.abc import Mapping
from typing import Any

from freezing.sources.lookup_tables import FINDS, SIZES, TABLE_OPS, Table

# Tables whose keys are not the numbers from 0 are searched key by key, for each value looked up.
_MOST_SEARCHED = 100_000


def why_not_kept(node: Any, tables: Mapping[str, Table]) -> str | None:
    """Return why a table's node cannot become constants; None where it can, or is no table."""
    if node.op not in TABLE_OPS:
        kept = node.op in FINDS | SIZES
        return None if kept else "it changes the table or reads it as a whole."
    table = tables.get(node.name)
    if table is None or table.problem:
        return table.problem if table else "nothing in the graph says what it holds."
    if not len(table.keys):
        return "it is empty."
    if len(table.keys) > _MOST_SEARCHED and table.by_number() is None:
        return f"it has {len(table.keys)} keys that are not the numbers from 0."
    return None

"""`python -m api.cli`: the client commands alone, and `keys` also of this machine's Redis."""

from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from api.cli import main

if TYPE_CHECKING:
    from api.cli.local_keys import LocalKeys


def _keys_of(data: Path) -> AbstractContextManager["LocalKeys"]:
    from api.cli.local_keys import LocalKeys  # noqa: PLC0415 - imports redis

    return LocalKeys.of(data)


main(_keys_of)

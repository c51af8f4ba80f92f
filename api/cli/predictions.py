"""A few images: each one prediction, several at once, with their rows in order."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from api.cli.results_table import Row
from api.cli.thread_pool import as_done
from api.client.images import STDIN, ImageEntry
from api.client.uploads import path_text
from worker.errors import InvalidRequestError, PermafrostError

if TYPE_CHECKING:
    from api.cli.command_client import CommandClient

_FOR_ALL = frozenset({"model_not_found", "invalid_webhook", "webhooks_off"})  # whatever the image
_AT_ONCE = 8  # images sent at the same time
_HOLD_S = 30.0  # how long the server may hold an answer for its job to end


class Predictions:
    """Sends images, each as a prediction, and gathers their rows."""

    def __init__(
        self,
        client: "CommandClient",
        *,
        model: str,
        top: int,
        webhook: str | None = None,
        as_json: bool,
    ) -> None:
        self._client = client
        self._model = model
        self._top = top
        self._webhook = webhook
        self._as_json = as_json

    def rows(self, entries: list[ImageEntry]) -> tuple[list[Row], PermafrostError | None]:
        """Return one row per entry, in order, and what stopped the run before its end, if so.

        Raises what stopped it where not one image was classified before.
        """
        from api.cli.output import write_json_line  # noqa: PLC0415 - imports rich
        from api.cli.progress import image_progress  # noqa: PLC0415 - imports rich

        gathered = _InOrder(
            len(entries), (lambda row: write_json_line(row.as_json())) if self._as_json else None
        )
        failed = 0
        with image_progress(as_json=self._as_json) as progress:
            task = progress.add_task("", total=len(entries), failed=0)
            for index, outcome in as_done(entries, self._row, threads=_AT_ONCE):
                if isinstance(outcome, PermafrostError) and gathered.count:
                    for missing in gathered.missing():
                        path = path_text(entries[missing].path)
                        rest = Row.failure(path, outcome.code, outcome.message)
                        gathered.put(missing, rest)
                    return gathered.rows(), outcome
                if isinstance(outcome, Exception):
                    raise outcome
                gathered.put(index, outcome)
                failed += outcome.status != "succeeded"
                progress.update(task, advance=1, failed=failed)
        return gathered.rows(), None

    def _row(self, entry: ImageEntry) -> Row:
        """Return the row of one image; raise what would stop every other image too."""
        path = path_text(entry.path)
        if entry.error is not None:
            return Row.failure(path, entry.code, entry.error)
        from api.client import ConnectionLostError, ServerError  # noqa: PLC0415 - imports httpx

        try:
            image = sys.stdin.buffer.read() if entry.path == STDIN else Path(entry.path)
            size = len(image) if isinstance(image, bytes) else image.stat().st_size
            if size == 0:
                return Row.failure(path, "not_an_image", "The file is empty.")
            job = self._client.predict(
                image, model=self._model, top=self._top, webhook=self._webhook, wait_s=_HOLD_S
            )
            *_, ended = self._client.states(job, hold_s=_HOLD_S)
            return Row.of_job(path, ended)
        except InvalidRequestError as error:
            return Row.failure(path, "unreadable", error.message)
        except OSError as error:
            reason = f"The file cannot be read: {error.strerror or error}."
            return Row.failure(path, "unreadable", reason)
        except (ServerError, ConnectionLostError) as error:
            if error.code in _FOR_ALL or error.status in (401, 403):
                raise
            return Row.failure(path, error.code, error.message)


class _InOrder:
    """Rows that arrive in any order and leave in theirs."""

    def __init__(self, count: int, leave: Callable[[Row], None] | None) -> None:
        self._rows: list[Row | None] = [None] * count
        self._leave = leave or (lambda _: None)
        self._left = 0
        self.count = 0

    def put(self, index: int, row: Row) -> None:
        """Take a row, and let out all that are next."""
        self._rows[index] = row
        self.count += 1
        while self._left < len(self._rows) and (ready := self._rows[self._left]) is not None:
            self._leave(ready)
            self._left += 1

    def missing(self) -> list[int]:
        """Return the indices of rows that have not come."""
        return [index for index, row in enumerate(self._rows) if row is None]

    def rows(self) -> list[Row]:
        """Return the rows that have come, in order."""
        return [row for row in self._rows if row is not None]

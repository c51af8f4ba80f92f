"""The attempts of one request, which is sent again where waiting helps, for a limited time."""

from collections.abc import Callable
from typing import Any

import httpx

from api.client.answers import failure, not_permafrost, not_permafrost_at, refusal, worth_waiting
from api.client.connection import Connection
from api.client.steps import ApiRequest, Give, Json, Open, Pause, Read, Send, Steps
from api.client.waits import Waits
from worker.errors import PermafrostError

# The members by which answers are recognised, and their types.
_KINDS = {
    "added": int,
    "aliases": dict,
    "id": str,
    "jobs": list,
    "keys": list,
    "models": list,
    "version": int,
    "versions": list,
    "workers": list,
}
_REPORTED_FROM_S = 1.0  # shorter waits are not reported to `on_retry`
_LONGEST_LINE = 64 * 1024 * 1024  # bytes; no row is nearly as long
_MOST_RESETS = 5  # attempts of one request that end without an answer


def answer_to(connection: Connection, request: ApiRequest) -> Steps[httpx.Response]:
    """Send a request until it succeeds; return the answer. Raise where waiting does not help."""
    attempts = _Attempts(connection, repeatable=request.repeatable)
    while True:
        outcome = yield Send(request)
        if isinstance(outcome, httpx.Response) and outcome.is_success:
            connection.answered.set()
            return outcome
        yield Pause(attempts.pause_after(outcome))


def document(connection: Connection, request: ApiRequest, key: str) -> Steps[Json]:
    """Return the JSON object that a request is answered with, which must hold `key`."""
    return json_of((yield from answer_to(connection, request)), connection, key)


def json_of(answer: httpx.Response, connection: Connection, key: str) -> Json:
    """Return an answer's JSON object, which must hold `key`."""
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict) or not _is_answer(found, key):
        raise not_permafrost(answer, connection.server)
    return found


def _is_answer(found: Json, key: str) -> bool:
    """Return whether the members that operations use are there and of the right types."""
    is_job = "status" not in found or isinstance(found["status"], str)
    return is_job and key in found and isinstance(found[key], _KINDS.get(key, object))


def lines(
    connection: Connection, request: ApiRequest, read: Callable[[bytes], Any], *, fixed: bool = True
) -> Steps[None]:
    r"""Give what `read` makes of each line as it arrives; after a lost connection, go on behind it.

    `fixed`: whether the lines are the same ones in the same order at every reading; else those that
    were given are remembered. Only `\n` ends one (`str.splitlines` knows ten more signs). Where
    `read` returns None, nothing is given; what it calls a `ValueError` is no line of Permafrost's.
    """
    attempts, given = _Attempts(connection, repeatable=True), _Given(fixed=fixed)
    while True:
        outcome = yield Open(request)
        if isinstance(outcome, httpx.Response) and outcome.is_success:
            connection.answered.set()
            rest, ended = b"", False
            given.begin()
            while not ended:
                chunk = yield Read()
                if isinstance(chunk, httpx.RequestError):
                    outcome = chunk
                    break
                ended = not chunk
                *whole, rest = (rest + chunk).split(b"\n")
                if len(rest) > _LONGEST_LINE:
                    raise not_permafrost_at(connection.server)
                for line in [*whole, rest] if ended and rest else whole:
                    if given.is_new(line):
                        item = _parsed(line, read, connection)
                        if item is not None:
                            yield Give(item)
            if ended:
                return
        yield Pause(attempts.pause_after(outcome))


class _Given:
    """Which lines were given in earlier readings."""

    def __init__(self, *, fixed: bool) -> None:
        self._count = self._number = 0
        self._digests: set[int] | None = None if fixed else set()

    def begin(self) -> None:
        """Begin another reading."""
        self._number = 0

    def is_new(self, line: bytes) -> bool:
        """Return whether the next line of this reading was not given before."""
        if self._digests is None:
            self._number += 1
            new = self._number > self._count
            self._count = max(self._count, self._number)
            return new
        known = len(self._digests)
        self._digests.add(hash(line))
        return len(self._digests) > known


def _parsed(line: bytes, read: Callable[[bytes], Any], connection: Connection) -> Any:
    try:
        return read(line)
    except ValueError:
        raise not_permafrost_at(connection.server) from None


class _Attempts:
    """Decides after each attempt how long to wait before the next, or that there is none."""

    def __init__(self, connection: Connection, *, repeatable: bool) -> None:
        self._connection = connection
        self._repeatable = repeatable
        self._waits = Waits(connection.retry_for_s)
        self._resets = 0

    def pause_after(self, outcome: httpx.Response | httpx.RequestError) -> float:
        """Return the wait after an attempt; raise what it ended with where none helps."""
        error: PermafrostError
        if isinstance(outcome, httpx.Response):
            self._connection.answered.set()
            error = refusal(outcome, self._connection.server)
            helps = worth_waiting(outcome)
        else:
            self._resets += 1
            error = failure(outcome, self._connection.server)
            helps = self._may_come_back(outcome)
        pause = self._waits.next(error.retry_after) if helps else None
        if pause is None:
            raise error
        if pause >= _REPORTED_FROM_S:
            self._connection.on_retry(f"{error} Trying again in {pause:.2g} s.")
        return pause

    def _may_come_back(self, error: httpx.RequestError) -> bool:
        """Return whether to try again after an attempt that got no answer.

        A server that never answered is not there; one that did may be starting again.
        """
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return self._connection.answered.is_set()
        lost = httpx.NetworkError | httpx.TimeoutException | httpx.RemoteProtocolError
        return isinstance(error, lost) and self._repeatable and self._resets < _MOST_RESETS

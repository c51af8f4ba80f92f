"""Redis in the event loop: the commands that one turn of the loop asks for go out together."""

import asyncio
from collections import deque
from typing import Any, NamedTuple

import redis
import redis.asyncio
from redis.connection import HiredisRespSerializer

from worker.jobs.scripts import Call, digest, source

# Redis is on the same machine or in the same rack: clients get an error within 5 s if it is silent.
STORE_TIMEOUT_S = 2.0  # of a round trip, and of a command from the call to its answer

_MOST_COMMANDS = 64  # of one round trip
_MOST_ROUND_TRIPS = 2  # at a time; commands that are called meanwhile go out together after them
_SILENT = "Redis does not answer."

Argument = str | bytes | int | float


class _Command(NamedTuple):
    words: tuple[Argument, ...]
    answer: asyncio.Future[Any]


class CommandPipeline:
    """Sends commands over connections of redis-py's. Only its event loop may call this.

    redis-py's own asynchronous pipelines pack each command in Python, and look after the connection
    before each round trip: 0.13 ms of processor time where this takes 0.09.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._pack = HiredisRespSerializer().pack
        self._idle: list[redis.asyncio.Connection] = []
        self._queued: list[_Command] = []
        self._next_is_due = False  # a round trip begins in the loop's next turn
        self._round_trips: set[asyncio.Task[None]] = set()
        # Deadlines by the loop's clock and answers that have not come, oldest first.
        self._unanswered: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    async def run(self, *command: Argument) -> Any:
        """Run a command and return its answer; raises redis's errors."""
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        self._queued.append(_Command(command, answer))
        self._unanswered.append((loop.time() + STORE_TIMEOUT_S, answer))
        if not self._next_is_due:
            self._begin()
        if self._timer is None:
            self._expire()
        return await answer

    async def script(self, made: Call) -> Any:
        """Run the script of a call, one of `worker.jobs.scripts`, and return its answer."""
        name, argv = made
        try:
            return await self.run("EVALSHA", digest(name), 0, *argv)
        except redis.exceptions.NoScriptError:  # Redis was started anew meanwhile
            await self.run("SCRIPT LOAD", source(name))
            return await self.run("EVALSHA", digest(name), 0, *argv)

    async def close(self) -> None:
        """Close the connections; commands under way stay unanswered."""
        if self._timer is not None:
            self._timer.cancel()
        round_trips = list(self._round_trips)
        for round_trip in round_trips:
            round_trip.cancel()
        await asyncio.gather(*round_trips, return_exceptions=True)
        await self._client.aclose()

    def _expire(self) -> None:
        """Fail the commands whose deadline has passed; come back at the next deadline."""
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._unanswered:
            until, answer = self._unanswered[0]
            if not answer.done():
                if until > loop.time():
                    self._timer = loop.call_at(until, self._expire)
                    return
                answer.set_exception(redis.TimeoutError(_SILENT))
            self._unanswered.popleft()

    def _begin(self) -> None:
        """Begin a round trip for what is queued by the next turn of the loop, unless many run."""
        if self._queued and len(self._round_trips) < _MOST_ROUND_TRIPS:
            self._next_is_due = True
            round_trip = asyncio.get_running_loop().create_task(self._round_trip())
            self._round_trips.add(round_trip)
            round_trip.add_done_callback(self._ended)

    def _ended(self, round_trip: asyncio.Task[None]) -> None:
        self._round_trips.discard(round_trip)
        if not (round_trip.cancelled() or self._next_is_due):
            self._begin()

    async def _round_trip(self) -> None:
        # A command whose caller has gone is not sent.
        queued = [one for one in self._queued if not one.answer.done()]
        commands, self._queued = queued[:_MOST_COMMANDS], queued[_MOST_COMMANDS:]
        self._next_is_due = False
        self._begin()
        if not commands:
            return
        answers: list[Any]
        try:
            # redis-py's own timeouts are for each step: connecting, the greeting, the command.
            async with asyncio.timeout(STORE_TIMEOUT_S):
                answers = await self._exchange(commands)
        except TimeoutError:
            answers = [redis.TimeoutError(_SILENT)] * len(commands)
        except Exception as error:  # of any kind: the callers get it
            answers = [error] * len(commands)
        for one, answer in zip(commands, answers, strict=True):
            if one.answer.done():  # its caller has gone
                continue
            if isinstance(answer, Exception):
                one.answer.set_exception(answer)
            else:
                one.answer.set_result(answer)
        while self._unanswered and self._unanswered[0][1].done():
            self._unanswered.popleft()

    async def _exchange(self, commands: list[_Command]) -> list[Any]:
        """Return the answers to commands, of which each may be an error of its own.

        A connection that is broken is tried once more, as redis-py's clients do here.
        """
        packed = [piece for one in commands for piece in self._pack(*one.words)]
        pool = self._client.connection_pool
        connection = self._idle.pop() if self._idle else await pool.get_connection()
        try:
            try:
                return await self._ask(connection, packed, commands)
            except redis.ConnectionError:
                await connection.disconnect(nowait=True)
                return await self._ask(connection, packed, commands)
        except BaseException:
            await connection.disconnect(nowait=True)  # with what it may still be answered
            raise
        finally:
            self._idle.append(connection)

    async def _ask(
        self, connection: redis.asyncio.Connection, packed: list[bytes], commands: list[_Command]
    ) -> list[Any]:
        await connection.send_packed_command(packed)  # connects where it has to
        return [await self._answer(connection, str(one.words[0])) for one in commands]

    async def _answer(self, connection: redis.asyncio.Connection, name: str) -> Any:
        try:
            return await self._client.parse_response(connection, name)
        except redis.ResponseError as error:
            return error

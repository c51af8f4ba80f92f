"""Redis, as one event loop uses it: the commands of one turn of the loop go out together."""

import asyncio
import hashlib
from collections import deque
from functools import cache
from typing import Any, NamedTuple

import redis
import redis.asyncio

from worker.jobs.scripts import source

_TOGETHER = 64  # commands, at most
_UNDER_WAY = 2  # exchanges at a time; what is asked meanwhile goes out together after them
_TIMEOUT_S = 2.0  # of an exchange, and from when a command was asked until it is answered
_SILENT = "Redis does not answer."

Argument = str | bytes | int | float


class _Asked(NamedTuple):
    command: tuple[Argument, ...]
    answer: asyncio.Future[Any]


class Line:
    """Sends commands over redis-py's own pipelines. Only its event loop may call this."""

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client = client
        self._asked: list[_Asked] = []
        self._due = False
        self._exchanges: set[asyncio.Task[None]] = set()
        # What was asked, oldest first, and until when an answer is waited for, by the loop's clock.
        self._open: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._clock: asyncio.TimerHandle | None = None

    async def run(self, *command: Argument) -> Any:
        """Run a command and return its answer; raises redis's errors."""
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        self._asked.append(_Asked(command, answer))
        self._open.append((loop.time() + _TIMEOUT_S, answer))
        if not self._due:
            self._due = True
            loop.call_soon(self._send)
        if self._clock is None:
            self._give_up()
        return await answer

    async def script(self, name: str, *args: Argument) -> Any:
        """Run one of the scripts of `worker.jobs.scripts` with `args` as its ARGV."""
        try:
            return await self.run("EVALSHA", _digest(name), 0, *args)
        except redis.exceptions.NoScriptError:  # of a Redis that was started meanwhile
            await self.run("SCRIPT LOAD", source(name))
            return await self.run("EVALSHA", _digest(name), 0, *args)

    async def close(self) -> None:
        """Let go of the connections; what was asked stays unanswered."""
        if self._clock is not None:
            self._clock.cancel()
        exchanges = list(self._exchanges)
        for exchange in exchanges:
            exchange.cancel()
        await asyncio.gather(*exchanges, return_exceptions=True)
        await self._client.aclose()

    def _give_up(self) -> None:
        """Tell all whose time is up that there is no answer, and look again when the next's is."""
        loop = asyncio.get_running_loop()
        self._clock = None
        while self._open:
            until, answer = self._open[0]
            if not answer.done():
                if until > loop.time():
                    self._clock = loop.call_at(until, self._give_up)
                    return
                answer.set_exception(redis.TimeoutError(_SILENT))
            self._open.popleft()

    def _send(self) -> None:
        self._due = False
        while self._asked and len(self._exchanges) < _UNDER_WAY:
            # What nobody waits for any more is not sent.
            self._asked = [one for one in self._asked if not one.answer.done()]
            asked, self._asked = self._asked[:_TOGETHER], self._asked[_TOGETHER:]
            exchange = asyncio.get_running_loop().create_task(self._exchange(asked))
            self._exchanges.add(exchange)
            exchange.add_done_callback(self._exchanged)

    def _exchanged(self, exchange: asyncio.Task[None]) -> None:
        self._exchanges.discard(exchange)
        if not exchange.cancelled():
            self._send()

    async def _exchange(self, asked: list[_Asked]) -> None:
        answers: list[Any]
        try:
            pipe = self._client.pipeline(transaction=False)
            for one in asked:
                pipe.execute_command(*one.command)
            # redis-py's own limits are for each step: to connect again, to say hello, to ask.
            async with asyncio.timeout(_TIMEOUT_S):
                answers = await pipe.execute(raise_on_error=False)
        except TimeoutError:
            answers = [redis.TimeoutError(_SILENT)] * len(asked)
        except Exception as error:  # whatever it is, whoever asked is told
            answers = [error] * len(asked)
        for one, answer in zip(asked, answers, strict=True):
            if one.answer.done():  # whoever asked has gone
                continue
            if isinstance(answer, Exception):
                one.answer.set_exception(answer)
            else:
                one.answer.set_result(answer)
        while self._open and self._open[0][1].done():
            self._open.popleft()


@cache
def _digest(name: str) -> str:
    """Return the name that Redis gives to a script."""
    return hashlib.sha1(source(name).encode(), usedforsecurity=False).hexdigest()

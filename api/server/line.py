"""Redis, as one event loop uses it: the commands of one turn of the loop go out together."""

import asyncio
import hashlib
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

    async def run(self, *command: Argument) -> Any:
        """Run a command and return its answer; raises redis's errors."""
        loop = asyncio.get_running_loop()
        answer = loop.create_future()
        self._asked.append(_Asked(command, answer))
        if not self._due:
            self._due = True
            loop.call_soon(self._send)
        late = loop.call_later(_TIMEOUT_S, _give_up, answer)
        try:
            return await answer
        finally:
            late.cancel()

    async def script(self, name: str, *args: Argument) -> Any:
        """Run one of the scripts of `worker.jobs.scripts` with `args` as its ARGV."""
        try:
            return await self.run("EVALSHA", _digest(name), 0, *args)
        except redis.exceptions.NoScriptError:  # of a Redis that was started meanwhile
            await self.run("SCRIPT LOAD", source(name))
            return await self.run("EVALSHA", _digest(name), 0, *args)

    async def close(self) -> None:
        """Let go of the connections; what was asked stays unanswered."""
        exchanges = list(self._exchanges)
        for exchange in exchanges:
            exchange.cancel()
        await asyncio.gather(*exchanges, return_exceptions=True)
        await self._client.aclose()

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


def _give_up(answer: asyncio.Future[Any]) -> None:
    if not answer.done():
        answer.set_exception(redis.TimeoutError(_SILENT))


@cache
def _digest(name: str) -> str:
    """Return the name that Redis gives to a script."""
    return hashlib.sha1(source(name).encode(), usedforsecurity=False).hexdigest()

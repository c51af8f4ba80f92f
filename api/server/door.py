"""The door: every request comes in here and is answered in the event loop or by Flask in a thread.

An ASGI application (https://asgi.readthedocs.io/en/stable/specs/www.html).
"""

import asyncio
from contextlib import nullcontext
from typing import Any

from flask import Flask

from api.access.clients import behind_proxies
from api.server.bodies import Body, ClientGoneError, Receive
from api.server.environ import environ_of
from api.server.handler import Exchange
from api.server.responder import Answering, Scope, Send
from api.server.response_buffer import AnswerBrokenError
from api.server.spool import Room
from api.server.threads import Threads
from api.services.loop import LoopKernel
from api.services.process import Kernel
from api.views.events import Followed


class Door:
    """The way in of one process, for an application that `create_app` made."""

    def __init__(self, application: Flask, threads: int) -> None:
        self._application = application
        self._kernel: Kernel = application.extensions["kernel"]
        self._room = Room(self._kernel.settings.spool_bytes)
        self._threads = Threads(application, threads, self._room)
        self._behind_proxies = behind_proxies(_given, self._kernel.settings)
        self._core: LoopKernel | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or begin and end with the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and self._core is not None:
            connection = scope.get("connection")
            if connection is None:
                await self._serve(self._core, scope, receive, send)
                return
            try:
                with connection.serving():  # which ends where the client goes
                    await self._serve(self._core, scope, receive, send)
            except asyncio.CancelledError:
                if not connection.gone:
                    raise

    def leave(self) -> None:
        """Keep nobody waiting any more: the process is about to end."""
        if self._core is not None:
            self._core.leave()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._core = self._kernel.portal.adopt()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._core.close()
        self._threads.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(self, core: LoopKernel, scope: Scope, receive: Receive, send: Send) -> None:
        environ = environ_of(scope)
        answering = Answering(scope, send)
        seen = self._behind_proxies(dict(environ), _started)
        async with Body(receive, self._room, environ) as body:
            exchange = Exchange(
                self._application, core, self._threads, environ, body, scope.get("connection")
            )
            with self._application.request_context(seen):
                try:
                    answer = await exchange.answer()
                    with exchange.following() if isinstance(answer, Followed) else nullcontext():
                        await answering.send(answer, body)
                except ClientGoneError:
                    return
                except AnswerBrokenError:
                    answering.break_off()


def _given(environ: dict[str, Any], _start_response: object) -> dict[str, Any]:
    return environ


def _started(*_: object) -> None:
    """Stand for what starts a response, where none is made."""

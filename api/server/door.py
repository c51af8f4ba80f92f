"""The door: every request comes in here and is answered in the event loop or by Flask in a thread.

An ASGI application (https://asgi.readthedocs.io/en/stable/specs/www.html).
"""

import asyncio
from contextlib import nullcontext
from typing import Any

from flask import Flask

from api.access.clients import behind_proxies
from api.server.bodies import ClientGoneError, Receive, RequestBody
from api.server.environ import environ_of
from api.server.handler import RequestHandler
from api.server.responder import Responder, Scope, Send
from api.server.response_buffer import ResponseBrokenError
from api.server.spool import SpoolBudget
from api.server.threads import Threads
from api.services import LoopServices, Services
from api.views.events import EventStream


class Door:
    """The ASGI application of one process, before the Flask application of `create_app`."""

    def __init__(self, application: Flask, threads: int) -> None:
        self._application = application
        self._app_services: Services = application.extensions["services"]
        self._spool = SpoolBudget(self._app_services.settings.spool_bytes)
        self._threads = Threads(application, threads, self._spool)
        self._behind_proxies = behind_proxies(_environ_as_given, self._app_services.settings)
        self._services: LoopServices | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or begin and end with the server."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http" and self._services is not None:
            connection = scope.get("connection")
            if connection is None:
                await self._serve(self._services, scope, receive, send)
                return
            try:
                with connection.serving():  # is cancelled where the client goes
                    await self._serve(self._services, scope, receive, send)
            except asyncio.CancelledError:
                if not connection.gone:
                    raise

    def stop_waiting(self) -> None:
        """Answer all requests that wait for a job: the process is about to end."""
        if self._services is not None:
            self._services.stop_waiting()

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        self._services = self._app_services.loop.use_running_loop()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._services.close()
        self._threads.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _serve(
        self, services: LoopServices, scope: Scope, receive: Receive, send: Send
    ) -> None:
        environ = environ_of(scope)
        responder = Responder(scope, send)
        seen = self._behind_proxies(dict(environ), _start_response)
        async with RequestBody(receive, self._spool, environ) as body:
            handler = RequestHandler(
                self._application, services, self._threads, environ, body, scope.get("connection")
            )
            with self._application.request_context(seen):
                try:
                    answer = await handler.answer()
                    with handler.following() if isinstance(answer, EventStream) else nullcontext():
                        await responder.send(answer, body)
                except ClientGoneError:
                    return
                except ResponseBrokenError:
                    responder.break_off()


def _environ_as_given(environ: dict[str, Any], _start_response: object) -> dict[str, Any]:
    return environ


def _start_response(*_: object) -> None:
    """Do nothing: only the environment is wanted, no response."""

"""How the door handles one request: admits it, reads it, and answers in the loop or a thread."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

from flask import Flask, Response, request
from werkzeug.exceptions import RequestEntityTooLarge

from api.access import admission, identity
from api.access.admission import ADMITTED, Admitted
from api.http.answers import DEFERRED, Deferred
from api.server.bodies import SMALL, ClientGoneError, RequestBody
from api.server.connection import ClientConnection
from api.server.responder import Answer
from api.server.threads import Environ, ThreadResponse, Threads
from api.services import LoopServices
from api.submissions import body_limits
from api.views import events, health, jobs, predictions
from api.views.events import EventStream

Handler = Callable[..., Awaitable[Response | EventStream]]

_IN_LOOP: Final[dict[str, Handler]] = {
    "predictions.create": predictions.classify,
    "jobs.read": jobs.show,
    "events.stream": events.follow,
    "health.healthz": health.live,
}


class RequestHandler:
    """Handles one request, which is Flask's `request` meanwhile."""

    def __init__(
        self,
        application: Flask,
        services: LoopServices,
        threads: Threads,
        environ: Environ,
        body: RequestBody,
        connection: ClientConnection | None,
    ) -> None:
        self._application = application
        self._services = services
        self._threads = threads
        self._environ = environ
        self._body = body
        self._connection = connection

    async def answer(self) -> Answer:
        """Return the answer; raise `ClientGoneError` where the client has closed the connection."""
        in_loop = request.method != "OPTIONS" and request.endpoint in _IN_LOOP
        try:
            answer: Response | EventStream | None = await admission.admit(self._services)
            if answer is None and request.routing_exception is None:
                await self._read()
                if in_loop:
                    handler = _IN_LOOP[str(request.endpoint)]
                    _give_body(request.environ, self._body)
                    with self.following():
                        answer = await handler(self._services, **(request.view_args or {}))
        except ClientGoneError:
            raise
        except Exception as error:  # every error is answered by Flask's handlers
            await self._body.drain()
            return self._failed(error) if in_loop else await self._in_thread(error)
        if answer is None:
            await self._body.drain()
            return await self._in_thread()
        if isinstance(answer, EventStream):
            self._application.process_response(answer.head)
            return answer
        return self._application.process_response(answer)

    def following(self) -> AbstractContextManager[None]:
        """Count a client that ends its sending as gone."""
        return nullcontext() if self._connection is None else self._connection.following()

    async def _in_thread(self, refused: Exception | None = None) -> Response | ThreadResponse:
        deferred: list[Deferred] = []
        self._environ[DEFERRED] = deferred
        self._environ[ADMITTED] = Admitted(
            refused=refused, grant=identity.grant(), signed_in=identity.signed_in()
        )
        if self._body.whole:
            _give_body(self._environ, self._body)
        self._body.lend()
        answer = await self._threads.answer(self._environ, self._body.give_back)
        if not deferred:
            return answer
        answer.close()
        try:
            with self.following():
                return self._application.process_response(await deferred[0](self._services))
        except Exception as error:  # every error is answered by Flask's handlers
            return self._failed(error)

    def _failed(self, error: Exception) -> Response:
        application = self._application
        return application.process_response(
            application.make_response(application.handle_user_exception(error))
        )

    async def _read(self) -> None:
        """Read the body; raise where it is too large or its job would not be accepted."""
        body = self._body
        if body.whole:
            return
        request.max_content_length = most = body_limits.most_bytes(self._services.settings)
        if body.expected > most:
            raise RequestEntityTooLarge
        if body.is_chunked:
            await body.read(most, until=SMALL)
        if not body.whole and (body.is_chunked or body.expected > SMALL):
            context = contextvars.copy_context()
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(None, context.run, body_limits.check_accepting)
        await body.read(most)


def _give_body(environ: dict[str, Any], body: RequestBody) -> None:
    environ |= {"wsgi.input": body.stream(), "CONTENT_LENGTH": str(body.size)}
    environ.pop("HTTP_TRANSFER_ENCODING", None)

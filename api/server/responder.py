"""Sends answers from the event loop to the client."""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from typing import Any

from flask import Response, request

from api.server.bodies import RequestBody
from api.server.threads import Headers, ThreadResponse
from api.views.events import EventStream

_UNCHANGED = frozenset({200, 202})  # statuses of answers whose headers WSGI would not change

Answer = Response | EventStream | ThreadResponse
Scope = MutableMapping[str, Any]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Responder:
    """Sends one answer to its client."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._is_old = scope["http_version"] == "1.0"  # without chunked answers
        self._is_head = scope["method"] == "HEAD"
        self._connection = scope.get("connection")

    async def send(self, answer: Answer, body: RequestBody) -> None:
        """Send an answer; where `body` has not arrived whole, the connection is closed after it."""
        close = [] if body.whole else [("Connection", "close")]
        if isinstance(answer, Response):
            status, headers, content = _whole(answer)
            if self._connection is not None and content and not self._is_head:
                self._connection.join_head()
            await self._head(status, [*headers, *close])
            await self._send({"type": "http.response.body", "body": content})
        elif isinstance(answer, EventStream):
            await self._follow(answer)
        else:
            await self._send_thread_response(answer, close)

    def break_off(self) -> None:
        """Close the connection within an answer, by which the client knows that it is cut off."""
        if self._connection is not None:
            self._connection.abort()

    async def _follow(self, answer: EventStream) -> None:
        headers = [pair for pair in answer.head.headers if pair[0] != "Content-Length"]
        try:
            if self._is_head:
                await self._head(200, headers)
                await self._send({"type": "http.response.body", "body": b""})
                return
            if self._is_old:  # the events so far; the client asks again for the rest
                text = (await anext(answer.events, "")).encode()
                await self._head(200, [*headers, ("Content-Length", str(len(text)))])
                await self._send({"type": "http.response.body", "body": text})
                return
            await self._head(200, headers)
            async for event in answer.events:
                await self._piece(event.encode())
            await self._send({"type": "http.response.body", "body": b""})
        finally:
            await answer.close()

    async def _send_thread_response(self, answer: ThreadResponse, close: Headers) -> None:
        try:
            headers = [*answer.headers, *close]
            if self._is_old and not any(name.lower() == "content-length" for name, _ in headers):
                headers.append(("Content-Length", str(await answer.buffer.size())))
            await self._head(answer.status, headers)
            if not self._is_head:
                async for piece in answer.pieces():
                    await self._piece(piece)
            await self._send({"type": "http.response.body", "body": b""})
        finally:
            answer.close()

    async def _head(self, status: int, headers: Headers) -> None:
        rows = [(_name(name), value.encode("latin-1")) for name, value in headers]
        await self._send({"type": "http.response.start", "status": status, "headers": rows})

    async def _piece(self, content: bytes) -> None:
        await self._send({"type": "http.response.body", "body": content, "more_body": True})
        await asyncio.sleep(0)  # let other requests go on, however fast this client reads


def _whole(answer: Response) -> tuple[int, Headers, bytes]:
    """Return the status, the headers and the content of an answer that was made in the loop."""
    if answer.status_code in _UNCHANGED:
        content = answer.get_data()
        answer.headers["Content-Length"] = str(len(content))  # also where it was set before
        return answer.status_code, [*answer.headers], content
    pieces, status, headers = answer.get_wsgi_response(request.environ)
    content = b"".join(pieces)
    answer.close()
    return int(status.split(" ", 1)[0]), headers, content


@cache
def _name(name: str) -> bytes:
    return name.lower().encode("latin-1")

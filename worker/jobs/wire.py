"""A connection to Redis for a loop that must never wait.

redis-py's client waits for each answer, which takes a thread for every question under way. A `Wire`
sends what it is given when its socket takes it, and hands each answer to whoever asked, in the
order of the questions (https://redis.io/docs/latest/develop/using-commands/pipelining/).
"""

import selectors
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import hiredis
import redis

_READ_BYTES = 256 * 1024
# After which a Redis of which something is awaited is asked whether it lives, and after which it is
# given up where it does not answer that.
_SILENCE_S = 1.0

Answer = Callable[[Any], None]


class WireError(Exception):
    """Raised where the connection is of no use any more; it must be closed."""


class Wire:
    """One connection, used by one loop.

    Answers are as hiredis gives them: `bytes`, `int`, lists of these, None, or a
    `hiredis.ReplyError` for what was refused. Messages of channels go to `told`.
    """

    def __init__(self, client: redis.Redis, told: Answer | None = None) -> None:
        """Connect as `client` does, which may take as long as its timeouts allow.

        Raises redis's errors, and `WireError` where the connection is encrypted: such a socket
        does not say when it can be read.
        """
        # Made by redis-py, which knows of URLs, passwords and databases.
        self._connection = client.connection_pool.make_connection()
        self._connection.connect()
        self._socket: socket.socket = self._connection._sock  # nothing public gives it
        if isinstance(self._socket, ssl.SSLSocket):
            self.close()
            raise WireError("The connection to Redis is encrypted.")
        self._socket.setblocking(False)
        self._reader = hiredis.Reader()
        self._told = told
        self._asked: deque[Answer] = deque()
        self._unsent: list[bytes] = []
        self._heard = time.monotonic()
        self._pinged = False

    def fileno(self) -> int:
        """Return the socket's number, for a selector."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the connection; what was asked stays unanswered."""
        self._connection.disconnect()

    def ask(self, answer: Answer, *command: str | bytes | int | float) -> None:
        """Ask something; it is sent by the next `send`."""
        # Packed first: what cannot be is not sent, and must not have the next answer.
        packed = hiredis.pack_command(command)  # type: ignore[arg-type]  # its hint says: one word
        self._unsent.append(packed)
        self._asked.append(answer)

    def send(self) -> int:
        """Send what the socket takes; return the events to wait for. Raises `WireError`."""
        if self._unsent:
            content = self._unsent[0] if len(self._unsent) == 1 else b"".join(self._unsent)
            try:
                sent = self._socket.send(content)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                raise WireError(str(error)) from error
            self._unsent = [content[sent:]] if sent < len(content) else []
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self._unsent else 0)

    def receive(self) -> None:
        """Hand out the answers that have arrived. Raises `WireError`."""
        try:
            content = self._socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            raise WireError(str(error)) from error
        if not content:
            raise WireError("Redis closed the connection.")
        self._heard, self._pinged = time.monotonic(), False
        try:
            self._reader.feed(content)
            while (answer := self._reader.gets()) is not False:
                self._hand_out(answer)
        except hiredis.ProtocolError as error:
            raise WireError(str(error)) from error

    def look(self, now: float) -> None:
        """Ask a silent Redis whether it lives; raise `WireError` where it does not answer that."""
        silent = now - self._heard
        if silent > _SILENCE_S and self._pinged:
            raise WireError("Redis does not answer.")
        if silent > _SILENCE_S and not self._pinged:
            self._pinged = True
            self._heard = now
            self.ask(_nothing, "PING")

    def _hand_out(self, answer: Any) -> None:
        pushed = isinstance(answer, hiredis.PushNotification)  # in RESP 3
        if self._told and isinstance(answer, list) and answer[:1] == [b"message"]:
            self._told(answer[2])
        elif self._asked and (not pushed or answer[:1] == [b"subscribe"]):
            self._asked.popleft()(answer)


def _nothing(_answer: Any) -> None:
    return

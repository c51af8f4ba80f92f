"""A client's connection, and when it is said to be closed."""

from collections.abc import Callable
from typing import Any

from gunicorn.http.body import ChunkedReader, LengthReader
from gunicorn.workers.gthread import TConn

from api.begun import Begun
from api.incoming import Incoming
from api.outgoing import Outgoing

_READ_AWAY = 32 * 1024  # bytes of a body that gunicorn surely reads away, to keep the connection


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """A connection of a client."""

    sock: Outgoing

    def __init__(self, cfg: Any, sock: Outgoing, client: Any, server: Any) -> None:
        super().__init__(cfg, sock, client, server)
        self.incoming = Incoming()
        self.begun: Begun | None = None
        self.held = False  # by the short way
        self.idle = False  # between two requests
        self.ended: bool | None = None  # whether it is kept, once its request was handled
        self.gone = False
        self.until = 0.0  # monotonic; while it lingers

    @property
    def received(self) -> bytearray:
        """What was received of a request, where that is small."""
        return self.incoming.received


def closing(application: Callable[..., Any]) -> Callable[..., Any]:
    """Have responses say `Connection: close` where most of the request's body was not read.

    gunicorn says `keep-alive`, and closes the connection for the rest that it would have to read:
    the client's next request on it is lost.
    """

    def call(environ: dict[str, Any], start_response: Any) -> Any:
        def start(*arguments: Any) -> Any:
            response = start_response.__self__
            body = response.req.body
            if body.failed or _is_unread(body.reader):
                response.force_close()
            return start_response(*arguments)

        return application(environ, start)

    return call


def _is_unread(reader: Any) -> bool:
    if isinstance(reader, LengthReader):
        return bool(reader.length > _READ_AWAY)
    return isinstance(reader, ChunkedReader) and reader.parser is not None

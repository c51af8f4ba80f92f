"""What can go wrong between a client and a server."""

from worker.errors import PermafrostError


class ServerError(PermafrostError):
    """The server answered that it will not or cannot do what was asked."""

    def __init__(
        self, detail: str, *, code: str = "error", status: int = 500, retry_after: int | None = None
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.status = status
        self.detail = detail
        self.retry_after = retry_after


class ServerUnreachableError(PermafrostError):
    """No server answers at the address, or it stopped answering."""

    code = "no_server"
    status = 503


class ConnectionLostError(ServerUnreachableError):
    """A server is there, but closed the connection before it answered, again and again."""

    code = "connection_lost"


class NotPermafrostError(PermafrostError):
    """Something answers at the address, but not in the way that Permafrost does."""

    code = "not_permafrost"
    status = 502

"""The errors that a client raises."""

from typing import Any

from worker.errors import InvalidRequestError, PermafrostError

__all__ = [
    "ConnectionLostError",
    "InvalidRequestError",
    "JobError",
    "NotEndedError",
    "NotPermafrostError",
    "PermafrostError",
    "ServerError",
    "ServerUnreachableError",
]


class ServerError(PermafrostError):
    """The server answered that it will not or cannot do what was asked.

    `code`, `status` and `detail` are those of its answer (RFC 9457); `retry_after`: the seconds
    after which it said that asking again makes sense.
    """

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


class JobError(PermafrostError):
    """A job that was waited for did not succeed. `job` is the job, `code` says why it failed."""

    status = 422

    def __init__(self, message: str, *, code: str, job: Any) -> None:
        super().__init__(message)
        self.code = code
        self.job = job


class NotEndedError(PermafrostError):
    """A job did not end in the time that it was waited for; it goes on. `job_id` names it."""

    code = "not_ended"
    status = 504

    def __init__(self, message: str, *, job_id: str) -> None:
        super().__init__(message)
        self.job_id = job_id

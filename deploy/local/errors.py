"""What can keep the local system from starting."""

from worker.errors import PermafrostError


class StartError(PermafrostError):
    """The local system cannot start; the message says why and what to do."""

    code = "cannot_start"

"""How a worker's main process comes back to a broker that was gone."""

from functools import partial
from typing import Any

import celery.worker.consumer

_RETRY_S = 2.0


class Consumer(celery.worker.consumer.Consumer):
    """Celery's consumer, which tries to connect again every two seconds.

    Celery waits two seconds longer before each try, up to half a minute, and has no setting for it:
    after a long outage of Redis a worker would stand idle beside it for as long.
    """

    def ensure_connected(self, conn: Any) -> Any:
        """Return the connection once it is made."""
        conn.ensure_connection = partial(
            conn.ensure_connection, interval_start=_RETRY_S, interval_max=_RETRY_S
        )
        return super().ensure_connected(conn)

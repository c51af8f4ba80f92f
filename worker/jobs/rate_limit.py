"""The rate limit: how often one client may submit, over all API processes together."""

import math
from collections.abc import Awaitable, Callable
from typing import Any

from worker.errors import RateLimitedError
from worker.jobs.scripts import Call, call
from worker.settings import Settings


class RateLimit:
    """A token bucket for each client."""

    def __init__(self, run: Callable[[Call], Awaitable[Any]], settings: Settings) -> None:
        """`run` runs the script of a call."""
        self._run = run
        self._rate = settings.client_rate
        self._burst = settings.client_burst

    async def spend(self, client: str, *, rate: float | None = None) -> None:
        """Count one submission of `client`, a name that has been checked.

        `rate`: its own submissions per second, where it has one.

        Raises `RateLimitedError`, which says when to come back, where that is one too many.
        """
        rate = self._rate if rate is None else rate
        if rate <= 0:
            return
        wait_ms = await self._run(call("spend", client=client, rate=rate, most=self._burst))
        if wait_ms > 0:
            raise RateLimitedError(
                f"Too many submissions came from {client}: {rate:g} per second are accepted "
                "in the long run. Wait, then send it again.",
                retry_after=math.ceil(wait_ms / 1000),
            )

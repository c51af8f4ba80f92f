"""How long to wait before a request is sent again."""

import random

_FIRST_PAUSE_S = 0.2  # wait before the second attempt where the server names none; doubles
_LATER_PAUSE_S = 5.0  # what that wait grows to
_LEAST_PAUSE_S = 0.05
_SPREAD = 0.25  # so much longer a wait may be, so that many clients do not come back at once

_random = random.SystemRandom()


class Waits:
    """The pauses between the attempts of one request, up to a sum."""

    def __init__(self, retry_for_s: float) -> None:
        self._left_s = retry_for_s
        self._pause_s = _FIRST_PAUSE_S

    def next(self, asked_s: int | None) -> float | None:
        """Return how long to wait now, never shorter than is asked for; None: too long."""
        pause = max(self._pause_s if asked_s is None else float(asked_s), _LEAST_PAUSE_S)
        self._pause_s = min(self._pause_s * 2, _LATER_PAUSE_S)
        if pause > self._left_s:
            return None
        pause = min(pause * (1 + _SPREAD * _random.random()), self._left_s)
        self._left_s -= pause
        return pause

"""How long to wait before a request is sent again."""

_LONGEST_PAUSE_S = 30.0  # longest single wait that a server's Retry-After can ask for
_FIRST_PAUSE_S = 0.2  # wait before the second attempt where the server names none; doubles
_LATER_PAUSE_S = 5.0  # what that wait grows to


class Waits:
    """The pauses between the attempts of one request, up to a sum."""

    def __init__(self, patience_s: float) -> None:
        self._left_s = patience_s
        self._pause_s = _FIRST_PAUSE_S

    def next(self, asked_s: int | None) -> float | None:
        """Return how long to wait now; None where patience is at its end."""
        pause = self._pause_s if asked_s is None else min(float(asked_s), _LONGEST_PAUSE_S)
        self._pause_s = min(self._pause_s * 2, _LATER_PAUSE_S)
        pause = max(pause, 0.05)
        if pause > self._left_s:
            return None
        self._left_s -= pause
        return pause

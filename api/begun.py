"""What the long way is told of a request that began on the short one (`api.express`)."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Begun(NamedTuple):
    """A prediction that may have been accepted already."""

    job_id: str
    until: float  # monotonic time until which it is waited for


_of_this_thread = threading.local()


def begun() -> Begun | None:
    """Return what is known of the request that this thread serves."""
    found: Begun | None = getattr(_of_this_thread, "begun", None)
    return found


@contextmanager
def going_on(with_: Begun | None) -> Iterator[None]:
    """Serve a request that began so, or not at all."""
    _of_this_thread.begun = with_
    try:
        yield
    finally:
        _of_this_thread.begun = None

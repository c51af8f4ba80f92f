"""Sends every ticket twice, as a broker does that delivers at least once."""

from typing import Any

from celery import Celery

_send = Celery.send_task


def _send_twice(self: Celery, *args: Any, **options: Any) -> Any:
    _send(self, *args, **options)
    return _send(self, *args, **options)


Celery.send_task = _send_twice  # type: ignore[method-assign, assignment] # to be in between

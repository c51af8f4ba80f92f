"""The Celery application of the workers. Start it with `celery -A worker.app worker`."""

import os

from celery.signals import setup_logging

from worker.jobs.broker import celery_app
from worker.logging import configure_logging
from worker.settings import get_settings

os.umask(0o077)  # whatever a worker writes is for its own user only

_settings = get_settings()

app = celery_app(_settings)
app.set_current()


@setup_logging.connect
def _setup_logging(**_: object) -> None:
    configure_logging(_settings.log_level)

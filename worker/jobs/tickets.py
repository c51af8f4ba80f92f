"""Tickets: Celery messages that tell a worker that there is work in a lane."""

from celery import Celery

from worker.jobs.records import Lane

TASKS = {
    Lane.INTERACTIVE: "permafrost.classify",
    Lane.BULK: "permafrost.classify",
    Lane.FREEZING: "permafrost.freeze",
}
_TICKET_EXPIRES_S = 60  # a worker drops an older ticket; the sweeper sends another if need be


def send_ticket(app: Celery, lane: Lane) -> None:
    """Send a ticket for a lane. Losing it costs time, never work: the sweeper sends another."""
    app.send_task(TASKS[lane], args=(lane.value,), queue=lane.value, expires=_TICKET_EXPIRES_S)

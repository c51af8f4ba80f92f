"""Tickets: Celery messages that tell a worker that there is work in a lane."""

from celery import Celery

from worker.jobs.records import Lane

TASKS = {
    Lane.INTERACTIVE: "permafrost.classify",
    Lane.BULK: "permafrost.classify",
    Lane.FREEZING: "permafrost.freeze",
}


TICKET_MS = 3000  # after which a ticket that is on its way is taken for lost


def send_ticket(app: Celery, lane: Lane) -> None:
    """Send a ticket for a lane. Losing it costs time, never work: the sweeper sends another.

    Tickets do not expire: one that comes late finds nothing to do, and no other is sent while it
    lies in its queue.
    """
    app.send_task(TASKS[lane], args=(lane.value,), queue=lane.value)

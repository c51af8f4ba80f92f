"""The Celery application that carries tickets, made from the settings."""

from celery import Celery
from kombu import Queue

from worker.jobs.records import Lane
from worker.redis.connection import broker_encryption, broker_url
from worker.settings import Settings


def celery_app(settings: Settings, *, timeout_s: float = 4.0) -> Celery:
    """Return a Celery application that sends and takes tickets.

    Sending one fails after about twice `timeout_s` seconds where Redis is silent.
    """
    app = Celery("permafrost", include=["worker.tasks"], set_as_current=False)
    app.conf.update(
        broker_url=broker_url(settings),
        broker_use_ssl=broker_encryption(settings),
        # A worker without -Q takes these; a freezing worker names its queue and its tasks:
        # `-Q freezing -I freezing.tasks`.
        task_queues=(Queue(Lane.INTERACTIVE.value), Queue(Lane.BULK.value)),
        task_default_queue=Lane.INTERACTIVE.value,
        task_create_missing_queues=True,
        # Tickets carry no data, so nothing is stored of them; results are in the job store.
        task_ignore_result=True,
        result_backend=None,
        task_serializer="json",
        accept_content=["json"],
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        # `worker.pool.overdue` ends a process sooner.
        task_time_limit=max(settings.task_time_limit_s, round(settings.run_time_limit_s) + 75),
        # A child that loads graphs needs longer than the default of 4 s, after which Celery kills
        # it.
        worker_proc_alive_timeout=120,
        worker_consumer="worker.pool.consumer:Consumer",
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # Redis raises such errors when it is full. Without this the worker would exit, and so would
        # each one that is started while it is full.
        broker_channel_error_retry=True,
        broker_transport_options={
            # Must exceed the longest task, or a ticket is delivered again while it is worked on.
            "visibility_timeout": settings.freeze_time_limit_s + 300,
            "queue_order_strategy": "priority",
            # kombu waits for ever by default. It polls for tickets with a reply every second, so
            # this does not cut an idle worker's connection.
            "socket_timeout": timeout_s,
            "socket_connect_timeout": min(timeout_s, 2.0),
            "socket_keepalive": True,
        },
        task_publish_retry_policy={"max_retries": 1, "interval_start": 0, "interval_max": 0.2},
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        # Otherwise any client of the broker could stop every worker. `/v1/workers` shows more than
        # `celery inspect`.
        worker_enable_remote_control=False,
        timezone="UTC",
        enable_utc=True,
    )
    return app

"""The tasks of an inference worker, and what its processes do when they start and stop.

TensorFlow is imported before the pool forks, so that its processes share that memory, but sessions
are made after: a session made before a fork hangs the child.
"""

import contextlib
import gc
import os
from dataclasses import asdict
from functools import partial
from typing import Any

from billiard.process import current_process
from celery.signals import (
    worker_init,
    worker_process_init,
    worker_process_shutdown,
    worker_ready,
    worker_shutting_down,
)

from worker.app import app
from worker.confinement.confine import NotConfinedError
from worker.confinement.serving import check_serving, confine_serving, confine_trials
from worker.jobs.records import Lane
from worker.jobs.tickets import TASKS, send_ticket
from worker.models.registry import Registry
from worker.pool import accepting
from worker.pool.allocator import release_libraries, share_heap
from worker.pool.memory import MemoryHeadroom
from worker.pool.process import WorkerProcess
from worker.pool.scoreboard import Slot
from worker.pool.watchdog import Watchdog
from worker.redis.connection import connect
from worker.settings import get_settings

_DECODED_BYTES = 8  # per pixel, that a picture may take beside a run
_RECYCLED = 0x9B  # exit code of a process that Celery's pool is to replace

_running: dict[str, Any] = {}  # this process's WorkerProcess and Classifier, made after the fork


def _lanes() -> list[Lane]:
    """Return the classifying lanes that this worker consumes, interactive first."""
    consumed = app.amqp.queues.consume_from
    return [lane for lane in (Lane.INTERACTIVE, Lane.BULK) if lane.value in consumed]


@worker_init.connect
def _import_tensorflow(**_: object) -> None:
    if _lanes():
        try:
            check_serving(get_settings())
        except NotConfinedError as error:
            raise SystemExit(error.message) from error
        share_heap()  # before anything starts a thread
        # TensorFlow writes of every processor feature and absent GPU otherwise.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        import worker.inference.classifier  # noqa: F401, PLC0415
        from worker.images.plain_jpeg import turbo  # noqa: PLC0415
        from worker.images.resizing.kernels import kernels  # noqa: PLC0415

        turbo()
        kernels()  # compiled once for all

        # The libraries' 300,000 objects stay for ever. Frozen, they are neither examined by each
        # garbage collection nor copied into each process by it. Celery also collects before each
        # fork and takes no tickets meanwhile: half a second whenever a process is replaced.
        gc.collect()
        gc.freeze()
        release_libraries()


@worker_process_init.connect
def _start(**_: object) -> None:
    lanes = _lanes()
    if not lanes:
        return
    from worker.inference.classifier import Classifier  # noqa: PLC0415
    from worker.inference.graphs import Graphs  # noqa: PLC0415
    from worker.inference.trial_server import TrialServer  # noqa: PLC0415
    from worker.inference.trials import Trials, work  # noqa: PLC0415

    settings = get_settings()
    # Before anything starts a thread or makes a session, and while it may still fork.
    server = TrialServer(work, prepare=partial(confine_trials, settings))
    confined = confine_serving(settings)
    slot = Slot(getattr(current_process(), "index", None))
    watchdog = Watchdog(slot)
    decoded_bytes = _DECODED_BYTES * settings.max_image_pixels
    headroom = MemoryHeadroom(settings.run_memory_bytes + decoded_bytes)
    registry = Registry(settings.models_folder)
    trials = Trials(server, connect(settings), settings)
    graphs = Graphs(registry, settings, trials=trials, watchdog=watchdog, headroom=headroom)
    process = WorkerProcess(
        settings,
        lanes,
        partial(send_ticket, app),
        graphs=graphs.report,
        is_accepting=accepting.is_accepting,
        is_stopping=accepting.is_stopping,
        pool_id=accepting.POOL_ID,
        slot=slot,
        watchdog=watchdog,
        confinement=asdict(confined.confinement),
    )
    process.memory.bound(headroom)
    classifier = Classifier(process, graphs, registry, is_stale=lambda: confined.is_stale)
    process.on_tick, process.overdue.on_strike = classifier.follow_registry, classifier.strike
    graphs.on_tried = classifier.tried
    _running.update(process=process, classifier=classifier)
    process.start()
    classifier.start(slot.casualty)
    process.ready()


@worker_ready.connect
def _start_accepting(**_: object) -> None:
    accepting.start_accepting()


@worker_shutting_down.connect
def _stop_accepting(**_: object) -> None:
    accepting.stop_accepting()


@worker_process_shutdown.connect
def _stop(**_: object) -> None:
    process = _running.pop("process", None)
    if process is not None:
        with contextlib.suppress(Exception):
            process.stop()


@app.task(name=TASKS[Lane.INTERACTIVE])
def classify(lane: str) -> None:
    """Work on what waits in this worker's lanes; `lane` is where the ticket came from."""
    if not _running["classifier"].work(Lane(lane)):
        # This ends the process, and Celery replaces it. Celery has a memory limit too, but for the
        # most that a process ever had, which may have been while it loaded a graph.
        raise SystemExit(_RECYCLED)

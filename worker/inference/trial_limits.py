"""Time limits of a process that runs an unknown graph: it ends itself, else the kernel ends it."""

import os
import signal
import threading
import time
from collections.abc import Callable

from worker.pool.threads import others_wait

CPU_SHARE = 0.25  # of its time limit, that a trial which never ends has used the processor for
OVERDUE, WAITED = 124, 125  # exit status: beyond its time limit, waiting for refused memory
# Times the limit, after which a trial is ended however little it has used the processor.
_AT_MOST = 4
_LOOK_S = 0.05
_WAITING_LOOKS = 20  # in a row, in which nothing works


def end_in_time(limit_s: float) -> Callable[[], None]:
    """End this process once it has had its time and used the processor for a part of it.

    A machine that has too much to do makes honest work long; it gets some time more, which the
    kernel ends whatever happens here. It is also ended where it waits for memory that it may not
    take. To be called before the work; what it returns is to be called once that is done.
    """
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, limit_s * _AT_MOST)
    started, used = time.monotonic(), time.process_time()
    over = threading.Event()

    def watch() -> None:
        waiting = 0
        while (
            time.monotonic() - started < limit_s or time.process_time() - used < limit_s * CPU_SHARE
        ):
            if over.wait(_LOOK_S):
                return
            waiting = waiting + 1 if others_wait() else 0
            if waiting > _WAITING_LOOKS:
                os._exit(WAITED)
        os._exit(OVERDUE)

    def stop() -> None:
        over.set()
        signal.setitimer(signal.ITIMER_REAL, 0)
        watching.join()

    watching = threading.Thread(target=watch, name="limit", daemon=True)
    watching.start()
    return stop

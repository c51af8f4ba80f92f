"""What happens to the processes that tests and benchmarks start when these are told to end."""

import os
import signal
from types import FrameType


def stop_as_by_ctrl_c() -> None:
    """Take SIGTERM as Ctrl-C from now on, so that whatever was started is stopped and removed.

    By itself SIGTERM ends Python at once, and servers would run on for ever. Processes that are
    forked later end by it as they would have without this.
    """
    main = os.getpid()

    def interrupt(number: int, _: FrameType | None) -> None:
        if os.getpid() == main:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, interrupt)

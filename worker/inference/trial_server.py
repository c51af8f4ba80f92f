"""The trial server: a process that has loaded TensorFlow and made no session, and forks trials.

A session made before a fork hangs the forked process, so a serving process cannot fork a trial
itself. It starts this server before it makes its first session. Loading TensorFlow takes four
seconds; forking a process that has loaded it takes milliseconds.

Each trial has a supervisor, which reports how it ended. All of them end with the serving process.
"""

import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from worker.confinement.system import die_with_parent
from worker.inference.trial_limits import CPU_SHARE, OVERDUE, WAITED
from worker.out_of_memory import says_out_of_memory

_NICENESS = 5  # predictions go first
_MOST_DESCRIPTORS = 1024  # that may have been open
_TAIL_BYTES = 8192  # of a trial's standard error, examined where it died

Order = dict[str, Any]
Event = dict[str, Any]
Send = Callable[[Event], None]


@dataclass(frozen=True, kw_only=True)
class TrialEnd:
    """How the process of a trial ended."""

    overdue: bool  # past its time limit
    waited: bool  # for memory that it may not take
    busy: bool  # past its time limit, but it had got little of the processor
    signal: int  # that killed it, or 0
    no_memory: bool  # the end of its standard error says so
    words: str  # the end of its standard error


class TrialServer:
    """Runs orders in processes of their own, several at a time. Safe for threads."""

    def __init__(
        self, work: Callable[[Order, Send], None], *, prepare: Callable[[], None] = lambda: None
    ) -> None:
        """Fork the server, which calls `work` with each order in a process forked from it.

        `prepare` is called once in the server. To be called while there is one thread, and before
        the first session.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _serve(theirs.detach(), parent, work, prepare)
        theirs.close()
        self._socket = ours
        self._lock = threading.Lock()

    def events(self, order: Order, limit_s: float) -> Iterator[Event | TrialEnd]:
        """Run an order; give the events that it sends, and at last how it ended.

        Raises `OSError` where the server is gone.
        """
        ours, theirs = socket.socketpair()
        with ours:
            with theirs, self._lock:
                socket.send_fds(self._socket, [b"order"], [theirs.fileno()])
            ours.sendall(json.dumps({**order, "limit_s": limit_s}).encode())
            ours.shutdown(socket.SHUT_WR)
            with ours.makefile("rb") as lines:
                for line in lines:
                    event: Event = json.loads(line)
                    yield TrialEnd(**event["ended"]) if "ended" in event else event


def _serve(
    descriptor: int,
    parent: int,
    work: Callable[[Order, Send], None],
    prepare: Callable[[], None],
) -> NoReturn:
    try:
        if not die_with_parent(parent):
            os._exit(0)
        os.closerange(3, descriptor)
        os.closerange(descriptor + 1, _MOST_DESCRIPTORS)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # it ends with its parent
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for supervisors
        os.nice(_NICENESS)
        prepare()
        with socket.socket(fileno=descriptor) as orders:
            while True:
                message, received, _, _ = socket.recv_fds(orders, 16, 1)
                if not message:
                    break
                if os.fork() == 0:
                    orders.close()
                    _supervise(received[0], work)
                os.close(received[0])
    finally:
        os._exit(0)


def _supervise(descriptor: int, work: Callable[[Order, Send], None]) -> NoReturn:
    """Run the order in one more process, and report how that ended."""
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        die_with_parent(os.getppid())
        with socket.socket(fileno=descriptor) as channel:
            with channel.makefile("rb") as reader:
                order = json.loads(reader.read())
            errors, writer = os.pipe()
            supervisor = os.getpid()
            pid = os.fork()
            if pid == 0:
                os.close(errors)
                os.dup2(writer, 2)
                os.close(writer)
                _work(channel, order, supervisor, work)
            os.close(writer)
            tail = b""
            while chunk := os.read(errors, 65536):
                tail = (tail + chunk)[-_TAIL_BYTES:]
            _, status, usage = os.wait4(pid, 0)
            code = os.waitstatus_to_exitcode(status)
            overdue = code in (OVERDUE, -signal.SIGALRM)
            words = tail.decode(errors="replace")
            used = usage.ru_utime + usage.ru_stime
            ended = TrialEnd(
                overdue=overdue,
                waited=code == WAITED,
                busy=overdue and used < order["limit_s"] * CPU_SHARE,
                signal=0 if overdue else max(0, -code),
                no_memory=says_out_of_memory(words),
                words=words,
            )
            channel.sendall(json.dumps({"ended": vars(ended)}).encode() + b"\n")
    finally:
        os._exit(0)


def _work(
    channel: socket.socket,
    order: Order,
    supervisor: int,
    work: Callable[[Order, Send], None],
) -> NoReturn:
    try:
        if die_with_parent(supervisor):
            work(order, lambda event: channel.sendall(json.dumps(event).encode() + b"\n"))
    except BaseException as error:  # it must not reach the code of the process that was forked
        with suppress(Exception):
            os.write(2, repr(error).encode())
    finally:
        os._exit(0)

"""Works on many things at once, with threads that never hold up Ctrl-C."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_LOOK_S = 0.2  # a waiting main thread wakes this often, because Ctrl-C needs it awake


def as_done(
    things: Iterable[T], work: Callable[[T], R], *, threads: int
) -> Iterator[tuple[int, R | Exception]]:
    """Yield `(index, result)` in the order in which the work ends.

    A thing is asked for when a thread is free for it, so `things` may be far more than memory
    holds. An exception of `work` is yielded in the place of its result; one of `things` itself is
    raised. Closing the iterator starts no more work. The threads are daemons: an executor of the
    standard library would be joined at exit, behind requests that wait for a minute.
    """
    todo = enumerate(things)
    lock, stop = threading.Lock(), threading.Event()
    done: queue.SimpleQueue[tuple[int, R | Exception] | Exception | None] = queue.SimpleQueue()

    def run() -> None:
        while not stop.is_set():
            try:
                with lock:
                    index, thing = next(todo)
            except StopIteration:
                break
            except Exception as error:
                done.put(error)
                break
            try:
                done.put((index, work(thing)))
            except Exception as error:
                done.put((index, error))
        done.put(None)

    for _ in range(threads):
        threading.Thread(target=run, daemon=True).start()
    working = threads
    try:
        while working:
            outcome = _next(done)
            if isinstance(outcome, Exception):
                raise outcome
            if outcome is None:
                working -= 1
            else:
                yield outcome
    finally:
        stop.set()


def _next(done: "queue.SimpleQueue[T]") -> T:
    while True:
        try:
            return done.get(timeout=_LOOK_S)
        except queue.Empty:
            continue

"""Works on many things at once, with threads that never hold up Ctrl-C."""

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_LOOK_S = 0.2  # a waiting main thread wakes this often, because Ctrl-C needs it awake


def as_done(
    things: Sequence[T], work: Callable[[T], R], *, threads: int
) -> Iterator[tuple[int, R | Exception]]:
    """Yield `(index, result)` in the order in which the work ends.

    An exception of `work` is yielded in the place of its result. Closing the iterator starts no
    more work. The threads are daemons: an executor of the standard library would be joined at
    exit, behind requests that wait for a minute.
    """
    todo = iter(range(len(things)))
    lock, stop = threading.Lock(), threading.Event()
    done: queue.SimpleQueue[tuple[int, R | Exception]] = queue.SimpleQueue()

    def run() -> None:
        while not stop.is_set():
            with lock:
                index = next(todo, None)
            if index is None:
                return
            try:
                outcome: R | Exception = work(things[index])
            except Exception as error:
                outcome = error
            done.put((index, outcome))

    for _ in range(min(threads, len(things))):
        threading.Thread(target=run, daemon=True).start()
    try:
        for _ in things:
            yield _next(done)
    finally:
        stop.set()


def _next(done: "queue.SimpleQueue[tuple[int, R | Exception]]") -> tuple[int, R | Exception]:
    while True:
        try:
            return done.get(timeout=_LOOK_S)
        except queue.Empty:
            continue

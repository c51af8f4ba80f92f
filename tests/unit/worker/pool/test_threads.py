"""What the threads of this process do."""

import subprocess
import sys

_WAITS = """
import threading, time
from worker.pool.threads import others_wait, start_observer
over = threading.Event()
threading.Thread(target=over.wait, daemon=True).start()

def look():
    while not over.is_set():
        pass

def work():
    while not over.is_set():
        pass

start_observer("memory", look)
print(all(others_wait() for _ in range(50)))
threading.Thread(target=work, daemon=True).start()
time.sleep(0.05)
print(all(others_wait() for _ in range(50)))
over.set()
"""


def test_one_that_only_looks_on_is_not_taken_for_one_that_works() -> None:
    # In a process of its own: what threads other tests left behind would count.
    told = subprocess.run(
        [sys.executable, "-c", _WAITS], capture_output=True, text=True, check=True, timeout=60
    )
    assert told.stdout.split() == ["True", "False"]

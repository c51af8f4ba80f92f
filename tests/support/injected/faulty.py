"""Makes decoding do what a picture's comment says: crash the process natively, or hang.

`crash` is a segmentation fault. `hang` sleeps as a library does that lets other threads run, and
`seize` as one that does not.

"""

import ctypes
import time
from typing import Any

from tests.support.pictures import CRASH, HANG, SEIZE
from worker.inference import micro_batch

_decode = vars(micro_batch)["decode_for"]


def _faulty(content: bytes, *rest: Any, **options: Any) -> Any:
    head = content[:64]
    if CRASH in head:
        ctypes.string_at(0)
    if HANG in head:
        time.sleep(3600)
    if SEIZE in head:
        ctypes.PyDLL(None).sleep(3600)  # which keeps the interpreter's lock
    return _decode(content, *rest, **options)


vars(micro_batch)["decode_for"] = _faulty

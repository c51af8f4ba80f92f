"""Random faults that can be repeated: the seed is told, and can be given again.

`PERMAFROST_FAULT_SECONDS` is for how long faults of all kinds happen.
"""

import os
import random
from collections.abc import Callable

# Read here, because fixtures take the caller's settings away before a test runs.
_GIVEN = os.environ.get("PERMAFROST_FAULT_SEED")
SECONDS = float(os.environ.get("PERMAFROST_FAULT_SECONDS", "15"))


def chance(tell: Callable[[str, object], None]) -> random.Random:
    """Return a generator with a fresh seed, or the one of `PERMAFROST_FAULT_SEED`.

    `tell` is pytest's `record_property`; `tests/faults/conftest.py` prints what it was told.
    """
    seed = int(_GIVEN) if _GIVEN else random.randrange(2**32)
    tell("seed", seed)
    return random.Random(seed)

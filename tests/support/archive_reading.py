"""Reads archives as a process of its own and tells what came of it; its memory is then known.

Reads paths from standard input and writes one line of JSON for each.
"""

import json
import resource
import sys
import time
from pathlib import Path

from worker.archives import ArchiveLimits, members
from worker.errors import DamagedMemberError, PermafrostError
from worker.settings import Settings

_IMAGE_BYTES = 20 * 2**20


def read(path: Path, limits: ArchiveLimits) -> tuple[str, str]:
    """Return the code and the sentence of an archive's end; `read` where it was read whole."""
    said = ""
    with path.open("rb") as stream:
        try:
            for member in members(stream, limits):
                try:
                    member.read_first(_IMAGE_BYTES)
                except DamagedMemberError as error:
                    said = error.message
        except PermafrostError as error:
            return error.code, error.message
    return "read", said


def main() -> None:
    """Read what standard input names."""
    limits = ArchiveLimits.of(Settings())
    for line in sys.stdin:
        before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        code, said = read(Path(line.rstrip("\n")), limits)
        took = time.process_time() - began
        more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        row = {"code": code, "said": said, "seconds": took, "more_kib": more}
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

"""Having what is to be published audited by a fresh process, which never saw the source."""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from freezing.publishing.audit_messages import Examined, ExpectedTensors, Refused
from freezing.publishing.safe_copy import Taken
from freezing.running.environment import environment
from worker.auditing.graph_def import ForbiddenModelError
from worker.errors import FreezeError
from worker.settings import Settings

_ROOT = Path(__file__).resolve().parents[2]
_TIME_LIMIT_S = 120.0  # for a second's work
_MOST_ANSWER = 1 << 20  # bytes
_ANSWER: TypeAdapter[Examined | Refused] = TypeAdapter(Examined | Refused)


def examine(files: Sequence[Taken], wanted: ExpectedTensors, settings: Settings) -> Examined:
    """Audit the graph, which is the first of the files, and what was converted from it.

    Raises `ForbiddenModelError` where a file holds what may not be served, and `FreezeError` where
    that cannot be found out.
    """
    with ExitStack() as stack:
        opened = [stack.enter_context(file.path.open("rb")) for file in files]
        process = stack.enter_context(
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "freezing.publishing", str(os.getpid())),
                    *(str(settings.freeze_memory_bytes), settings.freeze_confinement),
                    *(str(file.fileno()) for file in opened),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=_ROOT,
                env=environment(files[0].path.parent),
                pass_fds=[file.fileno() for file in opened],
            )
        )
        watch = threading.Timer(_TIME_LIMIT_S, process.kill)
        watch.start()
        stack.callback(watch.cancel)
        stack.callback(process.kill)
        answer = _ask(process, wanted)
    try:
        found = _ANSWER.validate_json(answer)
    except ValidationError as error:
        raise FreezeError(
            "The graph that was frozen could not be audited, so nothing was published: its file "
            "may be damaged, or memory ran out (PERMAFROST_FREEZE_MEMORY_BYTES)."
        ) from error
    if isinstance(found, Refused):
        raise ForbiddenModelError(f"{found.refused} Nothing was published.")
    return found


def _ask(process: subprocess.Popen[bytes], wanted: ExpectedTensors) -> bytes:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process was started without pipes")
    try:
        process.stdin.write(wanted.model_dump_json().encode())
        process.stdin.close()
    except BrokenPipeError:  # it ended at once, and has no answer
        return b""
    return process.stdout.read(_MOST_ANSWER)

"""Having what is to be published audited by a fresh process, which never saw the source."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from freezing.publishing.taking import Taken
from freezing.running.environment import environment
from worker.auditing.graph_def import ForbiddenModelError
from worker.errors import FreezeError
from worker.settings import Settings

_ROOT = Path(__file__).resolve().parents[2]
_TIME_LIMIT_S = 120.0  # for a second's work
_MOST_ANSWER = 1 << 20  # bytes
_Count = Annotated[int, Field(ge=0)]
_Ops = dict[Annotated[str, Field(max_length=1000)], _Count]


class Examined(BaseModel):
    """What the audit counted in the bytes themselves."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    allow_list: Annotated[str, Field(max_length=64)]
    ops: _Ops
    nodes: _Count
    functions: _Count
    onnx: list[_Ops]

    def as_audit(self) -> dict[str, object]:
        """Return the audit as it stands in a manifest."""
        return {
            "verdict": "allowed",
            "allow_list": self.allow_list,
            "ops": self.ops,
            "functions": self.functions,
        }


def examine(
    files: Sequence[Taken], *, given: str, gives: Sequence[str], settings: Settings
) -> Examined:
    """Audit the graph, which is the first of the files, and what was converted from it.

    `given` and `gives` are its input and its outputs. Raises `ForbiddenModelError` where a file
    holds what may not be served, and `FreezeError` where that cannot be found out.
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
        answer = _ask(process, {"input": given, "outputs": list(gives)})
    try:
        found = json.loads(answer)
        if isinstance(found, dict) and "refused" in found:
            raise ForbiddenModelError(f"{str(found['refused'])[:2000]} Nothing was published.")
        return Examined.model_validate(found)
    except (ValueError, RecursionError, ValidationError) as error:
        raise FreezeError(
            "The graph that was frozen could not be audited, so nothing was published: its file "
            "may be damaged, or memory ran out (PERMAFROST_FREEZE_MEMORY_BYTES)."
        ) from error


def _ask(process: subprocess.Popen[bytes], wanted: dict[str, object]) -> bytes:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process was started without pipes")
    try:
        process.stdin.write(json.dumps(wanted).encode())
        process.stdin.close()
    except BrokenPipeError:  # it ended at once, and has no answer
        return b""
    return process.stdout.read(_MOST_ANSWER)

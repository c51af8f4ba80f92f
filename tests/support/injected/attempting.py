"""Makes a worker process try what a model that runs code of its own would try there.

A picture with the comment `ATTEMPT` fails with the error that holds, as JSON, what came of each
attempt: `done`, or the error's number.
"""

import contextlib
import ctypes
import json
import os
import signal
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.pictures import ATTEMPT
from worker.errors import NotAnImageError
from worker.inference import micro_batch

_decode = vars(micro_batch)["decode_for"]
_DATA = Path(os.environ["PERMAFROST_DATA"])
_PTRACE_ATTACH, _RLIMIT_CORE = 16, 4


def _call(name: str, *arguments: Any) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _fork() -> None:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)


def _read_memory(pid: int) -> None:
    with Path(f"/proc/{pid}/mem").open("rb"):
        pass


def _lead_elsewhere(port: int) -> None:
    """Try to connect what this process has to another port, as far as one can be connected."""
    for descriptor in range(3, 200):
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                break
    else:
        raise AssertionError("there is no socket to try it with")
    with socket.socket(fileno=os.dup(descriptor)) as taken:
        taken.connect(("127.0.0.1", port) if taken.family == socket.AF_INET else "/run/another")


def _attempts(order: dict[str, Any]) -> dict[str, Callable[[], object]]:
    parent, sibling, port = os.getppid(), int(order["sibling"]), int(order["port"])
    return {
        "read a model": (Path(order["models"]) / "aliases.json").read_bytes,
        "read a batch": (_DATA / "folders" / "picture.jpg").read_bytes,
        "look whether another lives": lambda: os.kill(sibling, 0),
        "run a program": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606 - it must not
        "fork": _fork,
        "open a socket": lambda: socket.socket(socket.AF_INET),
        "open a socket of the machine": lambda: socket.socket(socket.AF_UNIX),
        "send packets": lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM),
        "lead a connection elsewhere": lambda: _lead_elsewhere(port),
        "read the keys": (_DATA / "keys.json").read_text,
        "read passwords": lambda: Path("/etc/passwd").read_text(),
        "list the data": lambda: list(_DATA.iterdir()),
        "write to the data": lambda: (_DATA / "outside").write_text("x"),
        "write to a model": lambda: (Path(order["models"]) / "aliases.json").write_text("{}"),
        "write a temporary file": lambda: Path(order["outside"]).write_text("x"),
        "delete a picture": (_DATA / "folders" / "picture.jpg").unlink,
        "read the parent's environment": lambda: Path(f"/proc/{parent}/environ").read_text(),
        "read a sibling's environment": lambda: Path(f"/proc/{sibling}/environ").read_text(),
        "read the parent's memory": lambda: _read_memory(parent),
        "read a sibling's memory": lambda: _read_memory(sibling),
        "take a sibling's pipes": lambda: os.open(f"/proc/{sibling}/fd/2", os.O_RDONLY),
        "attach to a sibling": lambda: _call("ptrace", _PTRACE_ATTACH, sibling, 0, 0),
        "signal a sibling": lambda: os.kill(sibling, signal.SIGCONT),
        "signal the parent": lambda: os.kill(parent, signal.SIGCONT),
        "limit the parent": lambda: _call("prlimit", parent, _RLIMIT_CORE, b"\0" * 16, None),
        "a new namespace": lambda: _call("unshare", 0x10000000),
    }


def _try(attempt: Callable[[], object]) -> Any:
    try:
        attempt()
    except OSError as error:
        return error.errno
    return "done"


def _attempting(content: bytes, *rest: Any, **options: Any) -> Any:
    _, found, text = content[:4096].partition(ATTEMPT)
    if not found:
        return _decode(content, *rest, **options)
    order = json.loads(text.partition(b"\0")[0])
    if os.getpid() == order["sibling"]:
        raise NotAnImageError("try again")
    answers = {name: _try(attempt) for name, attempt in _attempts(order).items()}
    status = Path("/proc/self/status").read_text().splitlines()
    facts = dict(line.split(":\t", 1) for line in status if ":\t" in line)
    raise NotAnImageError(json.dumps({"answers": answers, "status": facts}))


vars(micro_batch)["decode_for"] = _attempting

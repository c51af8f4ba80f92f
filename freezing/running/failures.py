"""How a failure crosses from one process to another: as its code and its sentence."""

import errno
import resource
import traceback
from typing import Any

from freezing.running.reasons import reason
from worker.errors import (
    FreezeError,
    PermafrostError,
    SourceError,
    UnknownNodeError,
    VerificationError,
)
from worker.formatting import binary_size
from worker.out_of_memory import is_out_of_memory

_DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})


class CrashedError(FreezeError):
    """The process that did the work was ended by a signal of its own making."""

    code = "crashed"
    what = ""  # it was running, if it was, as in "running a white picture"
    images = 0  # of that run


class MemoryRefusedError(FreezeError):
    """A run needed more memory than it may take."""

    code = "out_of_memory"
    what = ""  # was run, as in "running a white picture"
    images = 0  # of that run

    ADVICE = "Look for what in the model grows so large, or raise the limit if it must."

    @classmethod
    def in_freeze(cls, what: str) -> "MemoryRefusedError":
        """Return the error for a run that had what a freeze may use."""
        most, _ = resource.getrlimit(resource.RLIMIT_DATA)
        limit = "the" if most == resource.RLIM_INFINITY else f"the {binary_size(most)} of"
        return cls(
            f"{capital(what)} needed more than {limit} memory that a freeze may use "
            f"(PERMAFROST_FREEZE_MEMORY_BYTES), so nothing was published. {cls.ADVICE}"
        )


class NotRunnableError(VerificationError):
    """A graph file that was written cannot be loaded or run."""

    code = "not_runnable"


class UnforeseenError(RuntimeError):
    """Another process met an error that nobody foresaw; the message is its reason."""


_KINDS: dict[str, type[FreezeError]] = {
    kind.code: kind
    for kind in (
        SourceError,
        UnknownNodeError,
        VerificationError,
        CrashedError,
        MemoryRefusedError,
        NotRunnableError,
    )
}


def capital(text: str) -> str:
    """Return the text as a sentence begins."""
    return text[:1].upper() + text[1:]


def failure(code: str, message: str) -> FreezeError:
    """Return the error that another process told by its code and sentence."""
    error = _KINDS.get(code, FreezeError)(message)
    error.code = code
    return error


def as_event(error: BaseException) -> dict[str, Any]:
    """Return the event that tells of `error`.

    Of what nobody foresaw, the message is no sentence but the reason; the rest goes to standard
    error.
    """
    if isinstance(error, PermafrostError):
        code = error.code if isinstance(error, FreezeError) else FreezeError.code
        return {"event": "failed", "code": code, "message": error.message}
    if _is_of_the_disk(error):
        what = error.strerror if isinstance(error, OSError) else "No space left on device"
        message = f"The work folder of the freeze cannot be written: {what}."
        return {"event": "failed", "code": "storage", "message": message}
    if isinstance(error, MemoryError):
        return {"event": "failed", "code": "out_of_memory", "message": ""}
    if not isinstance(error, UnforeseenError):  # or else it was written where it was met
        traceback.print_exception(error)
    code = "out_of_memory" if is_out_of_memory(error) else FreezeError.code
    return {"event": "failed", "code": code, "message": reason(error), "unexpected": True}


def _is_of_the_disk(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno in _DISK_ERRORS
    return "No space left on device" in str(error)  # as TensorFlow says it

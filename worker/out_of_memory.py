"""Whether an error or a message of a library means that memory ran out."""

import re

# Messages of Python, numpy, protobuf, OpenBLAS, oneDNN, TensorFlow, the C++ runtime and the loader.
# A thread that cannot be started has no memory for its stack: the number of threads has no limit.
_SAID = re.compile(
    r"bad_alloc|alloc failed|MemoryError|out of memory|OOM when|cannot allocate memory"
    r"|memory allocation .*failed|failed to allocate memory|cannot map zero-fill pages"
    r"|failed to map segment|could not create a (primitive|memory)"
    r"|pthread_create\(\) failed|can't start new thread",
    re.IGNORECASE,
)


def says_out_of_memory(text: str) -> bool:
    """Whether what a library wrote says that memory ran out."""
    return _SAID.search(text) is not None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out; its class or its message shows it."""
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return True
    return says_out_of_memory(str(error))

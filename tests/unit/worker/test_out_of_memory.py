"""Knowing from the words of libraries that memory ran out."""

import pytest

from worker.out_of_memory import is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("can't start new thread"),
        RuntimeError("std::bad_alloc"),
        ValueError("Error parsing message with type 'tensorflow.GraphDef': Arena alloc failed"),
        ValueError("OOM when allocating tensor with shape[1,2]"),
        OSError("libfoo.so: failed to map segment from shared object"),
    ],
)
def test_lack_of_memory_is_known_in_any_words(error: Exception) -> None:
    assert is_out_of_memory(error)


def test_another_error_is_none_of_memory() -> None:
    assert not is_out_of_memory(ValueError("no node is called memory"))

"""Silence: no warning gets out while anybody is inside, and the filters come back after that."""

import threading
import warnings

import pytest

from worker.images.quiet import IgnoredWarnings


def test_warnings_are_ignored_inside_and_only_there() -> None:
    quiet = IgnoredWarnings()
    with quiet:
        warnings.warn("too large", stacklevel=1)
    with pytest.warns(UserWarning, match="too large"):
        warnings.warn("too large", stacklevel=1)


def test_filters_come_back_after_an_error() -> None:
    before = list(warnings.filters)
    with pytest.raises(ValueError, match="broken"), IgnoredWarnings():
        raise ValueError("broken")
    assert warnings.filters == before


def test_whoever_leaves_first_leaves_the_others_undisturbed() -> None:
    quiet, before = IgnoredWarnings(), list(warnings.filters)
    inside, left = threading.Event(), threading.Event()
    failures = []

    def second() -> None:
        with quiet:
            inside.set()
            left.wait(10)
            try:
                warnings.warn("of the second", stacklevel=1)  # an error, where it is not ignored
            except UserWarning as warning:
                failures.append(warning)

    thread = threading.Thread(target=second)
    with quiet:
        thread.start()
        assert inside.wait(10)
    left.set()
    thread.join(10)
    assert failures == []
    assert warnings.filters == before

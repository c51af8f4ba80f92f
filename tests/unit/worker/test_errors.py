"""Errors: each tells a machine and a person what it is."""

import inspect
from collections import Counter

import pytest

from worker import errors
from worker.errors import OverloadedError, PermafrostError, StoreUnavailableError

ERRORS = [
    error
    for _, error in inspect.getmembers(errors, inspect.isclass)
    if issubclass(error, PermafrostError)
]


@pytest.mark.parametrize("error", ERRORS)
def test_every_error_says_when_it_is_raised_in_one_sentence(error: type[PermafrostError]) -> None:
    assert "__doc__" in vars(error)
    lines = (error.__doc__ or "").strip().splitlines()
    assert len(lines) == 1
    assert lines[0].endswith(".")


@pytest.mark.parametrize("error", [e for e in ERRORS if e is not PermafrostError])
def test_every_error_has_a_code_and_a_status_of_its_own(error: type[PermafrostError]) -> None:
    assert error.code.replace("_", "").isalpha()
    assert error.code.islower()
    assert error.code != PermafrostError.code
    assert 400 <= error.status < 600
    assert error.__name__.endswith("Error")


def test_no_two_errors_have_the_same_code() -> None:
    counts = Counter(error.code for error in ERRORS)
    assert {code for code, count in counts.items() if count > 1} == set()


@pytest.mark.parametrize("error", [OverloadedError, StoreUnavailableError])
def test_what_may_be_tried_again_says_when(error: type[PermafrostError]) -> None:
    assert error.status == 503
    assert error.retry_after


def test_the_message_is_what_the_error_was_raised_with() -> None:
    assert PermafrostError("It does not work.").message == "It does not work."

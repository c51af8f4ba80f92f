"""Malformed pictures over HTTP: each costs only itself, and is told what is wrong with it."""

from collections.abc import Iterator

import pytest

from tests.support.malformed import Case, good, made_by_chance, made_by_hand
from tests.support.sentences import unclear
from tests.support.submissions import (
    CODES,
    IN_A_BATCH,
    Answer,
    Submitter,
    memory_watched,
)
from tests.support.system import System

MOST_MEMORY = 500  # MiB more in any process of the system
MOST_S = 30.0  # for one picture; it is 3 s of a processor that is not busy with anything else
AT_ONCE = 60  # pictures of one batch


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [*made_by_hand(), *made_by_chance()]


@pytest.fixture
def submitter(system: System) -> Iterator[Submitter]:
    with Submitter(system.url, "cats-dogs") as found:
        yield found


def _judge(answer: Answer) -> str | None:
    if answer.status >= 500 or answer.code not in CODES:
        return f"{answer.status} {answer.code}"
    if answer.seconds > MOST_S:
        return f"it took {answer.seconds:.0f} s"
    return None if answer.code in ("succeeded", "skipped") else unclear(answer.sentence)


def _wrong(answers: dict[str, Answer]) -> dict[str, tuple[str, Answer]]:
    judged = {name: (_judge(answer), answer) for name, answer in answers.items()}
    return {name: (wrong, answer) for name, (wrong, answer) in judged.items() if wrong}


@pytest.mark.timeout(300)
def test_every_malformed_picture_is_answered_in_its_class_and_costs_only_itself(
    system: System, submitter: Submitter, cases: list[Case]
) -> None:
    photograph = good("baseline.jpg")
    expected = submitter.result(photograph)
    workers = submitter.workers()
    names = {case.name: f"{number:03}.jpg" for number, case in enumerate(cases)}
    with memory_watched([process.pid for process in system.processes()]) as memory:
        alone = {case.name: submitter.predict(case.name, case.content) for case in cases}
        together: dict[str, Answer] = {}
        for start in range(0, len(cases), AT_ONCE):
            part = cases[start : start + AT_ONCE]
            files = {names[case.name]: case.content for case in part}
            rows = {answer.name: answer for answer in submitter.batch(files)}
            together |= {case.name: rows[names[case.name]] for case in part}

    assert _wrong(alone) == {}
    assert _wrong(together) == {}
    unexpected = {
        case.name: alone[case.name]
        for case in cases
        if case.expected is not None and alone[case.name].code not in case.expected
    }
    assert unexpected == {}
    codes = {name: IN_A_BATCH.get(answer.code, answer.code) for name, answer in alone.items()}
    assert {name: answer.code for name, answer in together.items()} == codes

    assert memory.most < MOST_MEMORY
    assert submitter.workers() == workers
    assert submitter.result(photograph) == expected


@pytest.mark.parametrize(
    "sentence",
    [
        "cannot identify image file <_io.BytesIO object at 0x7f00>.",
        "The image is damaged: broken data stream when reading image file",
        "The image is damaged: -2 when decoding.",
        "ValueError.",
        "",
        None,
        "it begins small.",
    ],
)
def test_what_python_says_is_no_sentence(sentence: str | None) -> None:
    assert unclear(sentence) is not None


def test_what_we_say_is_one() -> None:
    assert unclear("The image is cut off before its last pixel.") is None

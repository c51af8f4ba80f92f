"""A connection that never waits: whose answer is whose, on a real Redis."""

import selectors
from collections.abc import Iterator
from functools import partial
from typing import Any

import hiredis
import pytest
import redis

from worker.jobs.wire import Wire, WireError


@pytest.fixture
def wire(client: redis.Redis) -> Iterator[Wire]:
    wire = Wire(client)
    yield wire
    wire.close()


def _turn(wire: Wire, until: list[Any], count: int) -> None:
    """Send and receive until there are so many answers."""
    with selectors.DefaultSelector() as selector:
        selector.register(wire, selectors.EVENT_READ)
        while len(until) < count:
            selector.modify(wire, wire.send())
            assert selector.select(10), "nothing came"
            wire.receive()


def test_answers_come_to_those_who_asked_in_their_order(wire: Wire) -> None:
    found: list[Any] = []

    def note(number: int, answer: bytes) -> None:
        found.append((number, answer))

    for number in range(100):
        wire.ask(partial(note, number), "ECHO", number)
    _turn(wire, found, 100)
    assert found == [(number, b"%d" % number) for number in range(100)]


def test_what_is_refused_is_an_answer_too(wire: Wire) -> None:
    found: list[Any] = []
    wire.ask(found.append, "NOTHING")
    wire.ask(found.append, "ECHO", "after")
    _turn(wire, found, 2)
    assert isinstance(found[0], hiredis.ReplyError)
    assert found[1] == b"after"


def test_what_cannot_be_sent_takes_nobodys_answer(wire: Wire) -> None:
    lost: list[Any] = []
    found: list[Any] = []
    with pytest.raises(TypeError):
        wire.ask(lost.append, "ECHO", None)  # type: ignore[arg-type]  # that is the point
    wire.ask(found.append, "ECHO", "mine")
    _turn(wire, found, 1)
    assert (found, lost) == ([b"mine"], [])


def test_more_than_the_socket_takes_is_sent_whole(wire: Wire) -> None:
    content, found = b"x" * 20_000_000, list[Any]()
    wire.ask(found.append, "ECHO", content)
    assert wire.send() & selectors.EVENT_WRITE
    _turn(wire, found, 1)
    assert found == [content]


def test_messages_are_told_beside_the_answers(client: redis.Redis) -> None:
    told: list[Any] = []
    answers: list[Any] = []
    wire = Wire(client, told.append)
    wire.ask(answers.append, "SUBSCRIBE", "channel")
    _turn(wire, answers, 1)
    client.publish("channel", b"news")
    wire.ask(answers.append, "PING")
    _turn(wire, answers, 2)
    _turn(wire, told, 1)
    assert told == [b"news"]
    wire.close()


def test_a_connection_that_is_closed_is_an_error(wire: Wire, client: redis.Redis) -> None:
    found: list[Any] = []
    wire.ask(found.append, "CLIENT", "ID")
    _turn(wire, found, 1)
    client.client_kill_filter(_id=str(found[0]))
    with pytest.raises(WireError):
        _turn(wire, found, 2)

"""What a client does not take at once waits, in order, and not for ever."""

import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from api.outgoing import Outgoing, Room


@pytest.fixture
def pair() -> Iterator[tuple[Outgoing, socket.socket]]:
    ours, theirs = socket.socketpair()
    outgoing = Outgoing(ours, Room(50_000_000))
    yield outgoing, theirs
    outgoing.close()
    theirs.close()


def taken(outgoing: Outgoing, client: socket.socket, most: int = 1 << 40) -> bytes:
    """Read as a client, while the loop sends."""
    client.setblocking(False)
    content = b""
    while len(content) < most:
        outgoing.flush()
        try:
            content += client.recv(min(1 << 16, most - len(content)))
        except BlockingIOError:
            return content
    return content


def test_everything_arrives_in_the_order_in_which_it_was_written(
    pair: tuple[Outgoing, socket.socket],
) -> None:
    outgoing, client = pair
    woken: list[bool] = []
    outgoing.wake = lambda: woken.append(True)
    sent = b""
    for number in range(400):
        piece = bytes([number % 251]) * (1 + number * 37 % 20_000)
        if number % 50 == 49:
            with tempfile.TemporaryFile() as file:
                file.write(b"before" + piece * 20)
                file.flush()
                assert outgoing.sendfile(file, 6) == len(piece) * 20
            piece *= 20
        else:
            outgoing.sendall(piece)
        sent += piece
        if number % 100 == 60:
            part = taken(outgoing, client, 300_000)
            assert sent.startswith(part)
            sent = sent[len(part) :]
    assert outgoing.waits
    assert woken
    assert taken(outgoing, client) == sent
    assert not outgoing.waits


def test_a_client_that_takes_nothing_or_too_little_is_late(
    pair: tuple[Outgoing, socket.socket],
) -> None:
    outgoing, client = pair
    assert not outgoing.is_late(time.monotonic() + 1000)
    outgoing.sendall(bytes(3_000_000))
    now = time.monotonic()
    assert not outgoing.is_late(now + 25)
    assert outgoing.is_late(now + 35)
    taken(outgoing, client, 1_000_000)
    outgoing._moved = now + 300  # as if something had been taken all the time
    assert not outgoing.is_late(now + 250)
    assert outgoing.is_late(now + 60 + 3_000_000 / 4096)


def test_a_client_that_has_gone_is_noticed(pair: tuple[Outgoing, socket.socket]) -> None:
    outgoing, client = pair
    outgoing.sendall(bytes(3_000_000))
    client.close()
    outgoing.flush()
    assert outgoing.broken
    assert not outgoing.waits
    with pytest.raises(BrokenPipeError):
        outgoing.sendall(b"more")


def test_no_more_waits_than_there_is_room_for(
    pair: tuple[Outgoing, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.outgoing._ROOM_S", 0.1)
    outgoing, client = pair
    sent = 0
    with suppress(BrokenPipeError):
        while sent < 60:
            outgoing.sendall(bytes(1_000_000))
            sent += 1
    assert 45 <= sent <= 55
    room = outgoing._room
    assert not room.take(2_000_000)
    outgoing.close()
    assert room.take(50_000_000)
    client.close()

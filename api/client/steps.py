"""What a client does, as steps that are taken one by one, or awaited.

An operation is a generator. It yields what is to be done next, is sent what came of it, and returns
its answer. So each request, each attempt and each wait is written once for both clients.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import update_wrapper
from inspect import Signature, signature
from typing import Any, Concatenate, Generic, NamedTuple, ParamSpec, Protocol, TypeVar

from api.client.connection import Connection

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")
M = TypeVar("M", bound=Callable[..., Any])

Json = dict[str, Any]
Params = dict[str, str | int | float]

_SLOWEST_BYTES = 5_000_000  # of a body, that a busy server takes in a second


class Body(Protocol):
    """What a request sends and need not be in memory; every attempt reads it from its beginning."""

    length: int  # bytes

    def __iter__(self) -> Iterator[bytes]:
        """Give its bytes, in pieces of which none is empty."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request, whatever sends it and however often."""

    method: str
    path: str
    params: Params = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Body = b""
    wait_s: float = 0  # seconds for which the server may hold its answer
    repeatable: bool = True  # whether it may be sent again once a server may have taken it

    @property
    def patience_s(self) -> float:
        """Seconds for which it may take longer than usual until the answer begins.

        A server stores a large body before it answers, and one that is sent again takes as long.
        """
        length = len(self.body) if isinstance(self.body, bytes) else self.body.length
        return self.wait_s + length / _SLOWEST_BYTES

    def all_headers(self) -> dict[str, str]:
        """Return its headers with what a body needs that is not in memory."""
        if isinstance(self.body, bytes):
            return dict(self.headers)
        return {**self.headers, "Content-Length": str(self.body.length)}


class Send(NamedTuple):
    """Send a request and read its answer; sent back is the answer, or why there is none."""

    request: Request


class Open(NamedTuple):
    """The same, but a success is not read; what was opened before is closed."""

    request: Request


class Read(NamedTuple):
    """Read on in what is open; sent back are bytes, none at the end, or why there are none."""


class Pause(NamedTuple):
    """Wait."""

    seconds: float


class Work(NamedTuple):
    """Do what may take a while, such as reading files; sent back is what it returns."""

    function: Callable[[], Any]


class Give(NamedTuple):
    """Hand something to whoever iterates."""

    item: Any


Step = Send | Open | Read | Pause | Work | Give
Steps = Generator[Step, Any, T]


@dataclass(frozen=True)
class Operation(Generic[P, R, T]):
    """Something that a server does: the steps to its answer, and how that, or a line, is read."""

    steps: Callable[Concatenate[Connection, P], Steps[R]]
    read: Callable[[Any], T]


class Answers(Generic[T]):
    """Makes an operation of a generator that returns an answer, as it came."""

    def __init__(self, read: Callable[[Any], T]) -> None:
        self._read = read

    def __call__(self, steps: Callable[Concatenate[Connection, P], Steps[R]]) -> Operation[P, R, T]:
        """Make the operation."""
        return Operation(steps, self._read)


def altered(steps: Steps[T], change: Callable[[Any], Iterable[Any]]) -> Steps[T]:
    """Take the steps, giving what `change` makes of each thing given; return what they return."""
    outcome: Any = None
    while True:
        try:
            step = steps.send(outcome)
        except StopIteration as end:
            found: T = end.value
            return found
        outcome = None
        if isinstance(step, Give):
            for item in change(step.item):
                yield Give(item)
        else:
            outcome = yield step


def described(method: M, operation: Operation[Any, Any, Any]) -> M:
    """Give a method the name, the words and the parameters of its operation."""
    update_wrapper(method, operation.steps)
    known = signature(operation.steps)
    first, *others = known.parameters.values()
    method.__signature__ = known.replace(  # type: ignore[attr-defined]  # inspect asks for it
        parameters=[first.replace(name="self", annotation=Signature.empty), *others],
        return_annotation=Signature.empty,
    )
    return method

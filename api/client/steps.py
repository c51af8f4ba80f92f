"""The steps of a client's operations, which the blocking and the asynchronous client both run.

An operation is a generator. It yields the next step, is sent the outcome of that step, and returns
its answer. So each request, each retry and each wait is written once for both clients.
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

_LEAST_RATE = 5_000_000  # bytes of a body that a busy server takes in a second


class BodyStream(Protocol):
    """A body that need not be in memory; every attempt reads it from its beginning."""

    length: int  # bytes

    def __iter__(self) -> Iterator[bytes]:
        """Give its bytes, in pieces of which none is empty."""


@dataclass(frozen=True, kw_only=True)
class ApiRequest:
    """One request, which may be sent several times."""

    method: str
    path: str
    params: Params = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | BodyStream = b""
    wait_s: float = 0  # seconds for which the server may hold its answer
    repeatable: bool = True  # whether it may be sent again once a server may have taken it

    @property
    def extra_timeout_s(self) -> float:
        """Seconds that the answer may take beyond the usual timeout.

        A server may hold its answer, and it stores a large body before it answers.
        """
        length = len(self.body) if isinstance(self.body, bytes) else self.body.length
        return self.wait_s + length / _LEAST_RATE

    def all_headers(self) -> dict[str, str]:
        """Return its headers with what a body needs that is not in memory."""
        if isinstance(self.body, bytes):
            return dict(self.headers)
        return {**self.headers, "Content-Length": str(self.body.length)}


class Send(NamedTuple):
    """Send a request and read its answer; the outcome is the answer, or the error."""

    request: ApiRequest


class Open(NamedTuple):
    """Send a request whose successful answer is read by `Read`; closes the one opened before."""

    request: ApiRequest


class Read(NamedTuple):
    """Read on in the open answer; the outcome are bytes, none at the end, or the error."""


class Pause(NamedTuple):
    """Wait."""

    seconds: float


class Work(NamedTuple):
    """Call a function that may block, such as for reading files; the outcome is what it returns."""

    function: Callable[[], Any]


class Give(NamedTuple):
    """Give an item to the caller who iterates."""

    item: Any


Step = Send | Open | Read | Pause | Work | Give
Steps = Generator[Step, Any, T]


@dataclass(frozen=True)
class Operation(Generic[P, R, T]):
    """One thing that a server does: the steps to its answer, and how the answer is read."""

    steps: Callable[Concatenate[Connection, P], Steps[R]]
    read: Callable[[Any], T]


class ReadBy(Generic[T]):
    """A decorator: makes an operation of a generator, whose answer `read` turns into a model."""

    def __init__(self, read: Callable[[Any], T]) -> None:
        self._read = read

    def __call__(self, steps: Callable[Concatenate[Connection, P], Steps[R]]) -> Operation[P, R, T]:
        """Make the operation."""
        return Operation(steps, self._read)


def altered(steps: Steps[T], change: Callable[[Any], Iterable[Any]]) -> Steps[T]:
    """Run the steps, but give what `change` makes of each item; return what they return."""
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

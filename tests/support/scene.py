"""A system that faults happen to: its processes, its checker, and a folder to classify."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.support.answers import Answer
from tests.support.checker import Checker
from tests.support.folders import fill
from tests.support.servers import Servers
from tests.support.tiny_model import publish

Tell = Callable[[str, object], None]  # pytest's `record_property`
_FOLDER = "many"


@dataclass
class Scene:
    """A running system, its checker, and the right answers for its folder of pictures."""

    servers: Servers
    checker: Checker
    answers: dict[str, Answer]

    @property
    def folder(self) -> Path:
        """The folder of pictures, which a batch may name."""
        return self.servers.folders / _FOLDER

    def submit(self) -> str:
        """Have the folder accepted as another batch and return its id."""
        return self.checker.submit_folder(self.folder, self.answers)


S = TypeVar("S", bound=Scene)


@contextmanager
def staged(kind: type[S], data: Path, images: int, **options: Any) -> Iterator[S]:
    """Give a system with the tiny model and a folder of `images`; `options` are of `Servers`."""
    servers = Servers(data, **options)
    try:
        publish(servers.models)
        answers = fill(servers.folders / _FOLDER, images)
        servers.start()
        yield kind(servers, Checker(servers.url, servers.data), answers)
    finally:
        servers.remove()

"""Random sequences of actions, the same for the same seed, with something that must always hold."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


class Interleaving(ABC):
    """Something to which actions happen in a random order.

    `actions` says how often each comes in proportion to the others; `check` is called after each.
    """

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self._trace: list[str] = []

    @abstractmethod
    def actions(self) -> Mapping[Callable[[], object], int]:
        """Return what may happen, with weights."""

    @abstractmethod
    def check(self) -> None:
        """Fail unless everything is as it must be."""

    def any(self, among: Sequence[T]) -> T:
        """Return one of several things."""
        return self.random.choice(among)

    def perhaps(self, chance: float = 0.5) -> bool:
        """Return True that often."""
        return self.random.random() < chance

    def run(self, steps: int) -> None:
        """Let things happen."""
        actions = self.actions()
        try:
            for _ in range(steps):
                (action,) = self.random.choices(list(actions), list(actions.values()))
                name = getattr(action, "__name__", str(action))
                self._trace.append(name)
                action()
                self.check()
        except Exception as error:
            error.add_note(f"after {len(self._trace)} steps: {', '.join(self._trace[-40:])}")
            raise

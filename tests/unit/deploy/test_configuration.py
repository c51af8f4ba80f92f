"""What supervisord, Redis and the services are told by the configurations of a local system."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from supervisor.options import ServerOptions

from deploy.local import redis_server
from deploy.local.configuration import MARK, ROOT, configuration, environment
from deploy.local.errors import StartError
from deploy.local.layout import Layout
from deploy.local.options import Options
from deploy.local.services import Service, services
from tests.support.local_services import all_services
from worker.settings import Settings

ODD = 'a b;c #d %(x)s "q" \'é'  # what configurations and shells stumble over


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

"""docker-compose.yml and the Dockerfiles, as far as they can be checked without an engine."""

import importlib
import importlib.util
import json
import re
import shlex
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest
import yaml
from celery.bin.worker import worker as celery_worker

from api.described import examples
from deploy.docker import healthcheck
from deploy.local.layout import Layout
from deploy.local.options import Options
from deploy.local.redis_server import COMPACT
from deploy.local.services import services as local_services
from tests.support.system import ROOT
from worker.contract.workers import Worker
from worker.jobs.records import Lane
from worker.settings import Settings

SCHEMA = Path(__file__).parent / "data" / "compose-spec" / "compose-spec.json"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
BUILT = {name: row for name, row in SERVICES.items() if "build" in row}
DOCKERFILES = sorted({row["build"]["dockerfile"] for row in BUILT.values()})
NOT_OURS = {"WEB_CONCURRENCY", "TMPDIR"}  # read by gunicorn and by Python


def interpolated(value: str) -> str:
    """Return a value as Compose reads it in an empty environment."""
    return re.sub(r"\$\{[A-Z_]+:-([^}]*)\}", r"\1", value)


def instructions(dockerfile: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile as (name, arguments), lines joined."""
    text = (ROOT / dockerfile).read_text().replace("\\\n", " ")
    lines = (line.strip() for line in text.splitlines())
    steps = (line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
    return [(step[0], step[1]) for step in steps]


def copied(dockerfile: str) -> list[str]:
    """Return what a Dockerfile copies from this folder."""
    words = [shlex.split(rest) for name, rest in instructions(dockerfile) if name == "COPY"]
    return [source for row in words if "--from=build" not in row for source in row[:-1]]


def command(service: str) -> list[str]:
    """Return the command that a service runs: its own, or its image's."""
    row = SERVICES[service]
    if "command" in row:
        return [interpolated(word) for word in row["command"]]
    last = [rest for name, rest in instructions(row["build"]["dockerfile"]) if name == "CMD"][-1]
    return cast("list[str]", json.loads(last))


def test_it_is_a_compose_file() -> None:
    schema = json.loads(SCHEMA.read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    found = jsonschema.Draft202012Validator(schema).iter_errors(COMPOSE)
    assert [error.message for error in found] == []


def test_every_variable_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    named = re.findall(r"\$\{?\w[^}\n]*", re.sub(r"^ *#.*$", "", text, flags=re.MULTILINE))
    assert named
    assert [name for name in named if not re.fullmatch(r"\$\{[A-Z_]+:-[^}]+", name)] == []


def test_the_services_are_those_of_the_local_system(tmp_path: Path) -> None:
    local = local_services(Options(), Layout(tmp_path), Settings(data=tmp_path), "redis-server")
    assert set(SERVICES) == {service.name for service in local}


def test_redis_keeps_records_as_small_as_the_embedded_one_does() -> None:
    words = command("redis")
    given = {name: words[words.index(f"--{name}") + 1] for name in COMPACT}
    assert given == COMPACT


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened_and_kept_running(name: str) -> None:
    row = SERVICES[name]
    assert row["read_only"] is True
    assert row["security_opt"] == ["no-new-privileges:true"]
    assert row["cap_drop"] == ["ALL"]
    assert row["restart"] == "unless-stopped"
    assert row["healthcheck"]["test"]
    assert row["mem_limit"]


@pytest.mark.parametrize("name", BUILT)
def test_every_service_waits_for_redis(name: str) -> None:
    assert SERVICES[name]["depends_on"]["redis"]["condition"] == "service_healthy"
    assert set(SERVICES[name]["depends_on"]) <= set(SERVICES)


def test_only_the_api_can_be_reached_from_outside() -> None:
    assert [name for name, row in SERVICES.items() if "ports" in row] == ["api"]
    assert interpolated(SERVICES["api"]["ports"][0]) == "127.0.0.1:8000:8000"
    assert COMPOSE["networks"]["backend"]["internal"] is True


@pytest.mark.parametrize("name", SERVICES)
def test_every_volume_and_network_is_declared(name: str) -> None:
    row = SERVICES[name]
    volumes = [volume.split(":")[0] for volume in row["volumes"]]
    assert set(volumes) <= set(COMPOSE["volumes"])
    assert set(row["networks"]) <= set(COMPOSE["networks"])


@pytest.mark.parametrize("name", BUILT)
def test_every_mounted_folder_belongs_to_the_images_user(name: str) -> None:
    steps = instructions(BUILT[name]["build"]["dockerfile"])
    prepared = " && ".join(rest for step, rest in steps if step == "RUN")
    owned = re.findall(r"chown permafrost:permafrost ([^&]*)", prepared)[0].split()
    assert [volume.split(":")[1] for volume in BUILT[name]["volumes"]] == owned


def test_redis_keeps_what_it_accepted() -> None:
    words = command("redis")
    given = dict(zip(words[1::2], words[2::2], strict=True))
    assert given["--appendonly"] == "yes"
    assert given["--appendfsync"] == "everysec"
    assert given["--maxmemory-policy"] == "noeviction"
    assert re.fullmatch(r"\d+gb", given["--maxmemory"])
    assert re.fullmatch(r"redis:\d+\.\d+\.\d+-\w+", SERVICES["redis"]["image"])


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_images_run_as_a_user_and_from_pinned_bases(dockerfile: str) -> None:
    steps = instructions(dockerfile)
    assert [rest for name, rest in steps if name == "USER"] == ["permafrost"]
    for base in (rest for name, rest in steps if name == "FROM"):
        assert re.match(r"python:3\.1[12]\.\d+-slim-\w+( AS build)?$", base)


@pytest.mark.parametrize("dockerfile", DOCKERFILES)
def test_what_an_image_copies_is_there_and_sent_to_the_builder(dockerfile: str) -> None:
    ignore = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line]
    sent = [line.removeprefix("!") for line in ignore if line.startswith("!")]
    assert ignore[1] == "*"
    assert copied(dockerfile)
    for source in copied(dockerfile):
        assert (ROOT / source).exists()
        assert any(fnmatch(source, pattern) for pattern in sent), source


def test_only_the_workers_get_tensorflow() -> None:
    wanted = {"deploy/docker/api.Dockerfile": "api", "deploy/docker/worker.Dockerfile": "worker"}
    for dockerfile, name in wanted.items():
        copies = copied(dockerfile)
        assert ("requirements.txt" in copies) == (name == "worker")
        assert ("freezing" in copies) == (name == "worker")
        assert ("api" in copies) == (name == "api")
    assert "tensorflow" not in (ROOT / "requirements-api.txt").read_text()
    assert "tensorflow==" in (ROOT / "requirements.txt").read_text()


@pytest.mark.parametrize("name", BUILT)
def test_every_variable_is_read_by_something(name: str) -> None:
    known = {
        str(choice)
        for field, info in Settings.model_fields.items()
        for choice in getattr(info.validation_alias, "choices", [f"PERMAFROST_{field.upper()}"])
    }
    assert set(SERVICES[name]["environment"]) <= known | NOT_OURS
    settings = {key: interpolated(value) for key, value in SERVICES[name]["environment"].items()}
    assert Settings(redis_url=settings["REDIS_URL"]).redis_url.startswith("redis://redis:")


def test_gunicorn_takes_the_apis_command() -> None:
    words = command("api")
    assert words[0] == "gunicorn"
    parser = importlib.import_module("gunicorn.config").Config().parser()
    parser.exit_on_error = False
    given = parser.parse_args(words[1:])
    assert given.args == ["api:create_app()"]
    assert (given.worker_class, given.control_socket_disable) == (
        "api.server.worker.DoorWorker",
        True,
    )
    assert importlib.util.find_spec("api") is not None


@pytest.mark.parametrize(
    ("name", "queues", "modules"),
    [("worker", ["interactive", "bulk"], []), ("freezing", ["freezing"], ["freezing.tasks"])],
)
def test_celery_takes_the_workers_command(name: str, queues: list[str], modules: list[str]) -> None:
    words = command(name)
    assert words[:4] == ["celery", "-A", "worker.app", "worker"]
    context = celery_worker.make_context("worker", words[4:], resilient_parsing=True)
    assert context.params["queues"] == queues
    assert set(queues) <= {lane.value for lane in Lane}
    assert [module for module in context.params["include"] or [] if module] == modules
    assert context.params["disable_prefetch"] is True
    for module in ("worker.app", *modules):
        assert importlib.util.find_spec(module) is not None


@pytest.mark.parametrize("name", ["worker", "freezing", "api"])
def test_containers_run_what_the_local_system_runs(name: str, tmp_path: Path) -> None:
    """Options are the same but for the address, the numbers of processes and the log level."""
    varied = {"--bind", "--env", "--workers", "--concurrency", "--log-level", "--loglevel"}
    local = local_services(Options(), Layout(tmp_path), Settings(data=tmp_path), None)
    there = next(list(row.command) for row in local if row.name == name)
    assert options(there[3:]) - varied_pairs(there, varied) == options(
        command(name)[1:]
    ) - varied_pairs(command(name), varied)


def options(words: list[str]) -> set[tuple[str, str]]:
    """Return options with their values, "" for those that take none."""
    following = [*words[1:], "-"]
    return {
        (word, "" if after.startswith("-") else after)
        for word, after in zip(words, following, strict=True)
        if word.startswith("-")
    }


def varied_pairs(words: list[str], names: set[str]) -> set[tuple[str, str]]:
    return {pair for pair in options(words) if pair[0] in names}


@pytest.mark.parametrize("name", ["worker", "freezing"])
def test_the_workers_are_checked_by_a_module_of_their_image(name: str) -> None:
    check = SERVICES[name]["healthcheck"]["test"]
    assert check[:3] == ["CMD", "python", "-m"]
    assert importlib.util.find_spec(check[3]) is not None
    assert check[3].startswith("deploy.docker.")
    assert "deploy/docker" in copied(SERVICES[name]["build"]["dockerfile"])
    assert check[4] in {lane.value for lane in Lane}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"host": "here", "state": "ready", "queues": ["interactive", "bulk"]}, True),
        ({"host": "here", "state": "starting", "queues": ["interactive", "bulk"]}, False),
        ({"host": "here", "state": "ready", "queues": ["freezing"]}, False),
        ({"host": "elsewhere", "state": "ready", "queues": ["interactive"]}, False),
    ],
)
def test_a_worker_is_healthy_when_it_takes_work(
    monkeypatch: pytest.MonkeyPatch, row: dict[str, Any], expected: bool
) -> None:
    class Roster:
        def __init__(self, *_: object) -> None: ...

        def read(self) -> list[Worker]:
            return [examples.WORKERS.workers[0].model_copy(update=row)]

    monkeypatch.setattr(healthcheck, "Roster", Roster)
    assert healthcheck.healthy("interactive", "here") is expected


def test_a_worker_without_redis_is_not_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(redis_url="redis://127.0.0.1:1/0")
    monkeypatch.setattr(healthcheck, "get_settings", lambda: settings)
    assert not healthcheck.healthy("interactive", "here")

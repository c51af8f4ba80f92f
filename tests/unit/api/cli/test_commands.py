"""Every command against a server that is made up: exit codes, JSON, and where the server is."""

import json
import re

import httpx
import pytest

from tests.support.batch_server import problem
from tests.support.command_line import Server, job, run

_COMMANDS: list[list[str]] = [
    ["jobs"],
    ["jobs", "j1"],
    ["cancel", "j1"],
    ["models"],
    ["models", "pets"],
    ["workers"],
    ["freeze", "far/away", "--name", "m"],
    ["inspect", "far/away"],
]


@pytest.mark.parametrize("arguments", _COMMANDS, ids=" ".join)
def test_json_is_one_document_before_or_after_the_arguments(
    freezing: Server, arguments: list[str]
) -> None:
    freezing.jobs["j1"] = [job()]
    first, *rest = arguments
    for given in ([first, "--json", *rest], [*arguments, "--json"]):
        found = run(*given)
        assert found.exit_code == 0
        assert isinstance(json.loads(found.stdout), dict)


@pytest.mark.parametrize("arguments", [*_COMMANDS, ["classify", __file__]], ids=" ".join)
def test_no_server_is_exit_code_3_and_one_sentence(
    server: Server, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    def refuse(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    monkeypatch.setattr(server, "answer", refuse)
    found = run(*arguments)
    assert (found.exit_code, found.stdout) == (3, "")
    assert "No Permafrost server answers at http://127.0.0.1:8000: start one" in found.stderr
    if arguments[0] != "classify":
        assert json.loads(run(*arguments, "--json").stdout)["error"]["code"] == "no_server"


@pytest.mark.parametrize("arguments", _COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (problem(503, "model_unavailable", "It cannot be loaded."), 3),
        (problem(404, "not_found", "There is no such job."), 1),
        (problem(410, "expired", "The job has expired."), 1),
        (problem(400, "invalid_request", "That is no id."), 2),
        (problem(500, "internal_error", "Something went wrong inside."), 1),
        (httpx.Response(200, html="<h1>Hello"), 3),
    ],
)
def test_what_the_server_says_decides_the_exit_code(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    refusal: httpx.Response,
    code: int,
) -> None:
    monkeypatch.setattr(server, "answer", lambda _: refusal)
    found = run(*arguments)
    assert (found.exit_code, found.stdout) == (code, "")
    assert len(found.stderr.strip().splitlines()) <= 2
    assert "Traceback" not in found.stderr


@pytest.mark.parametrize("arguments", [*_COMMANDS, ["classify", __file__]], ids=" ".join)
def test_ctrl_c_is_exit_code_130_without_a_traceback(
    server: Server, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("api.client.blocking.BlockingSession._take", interrupt)
    found = run(*arguments)
    assert (found.exit_code, found.stdout) == (130, "")
    assert "Stopped." in found.stderr


def test_the_server_is_taken_from_the_environment_unless_it_is_named(server: Server) -> None:
    run("workers", PERMAFROST_URL="http://from-environment:1")
    run("workers", "--server", "named:2", PERMAFROST_URL="http://from-environment:1")
    run("workers", PERMAFROST_URL="")
    hosts = [f"{request.url.host}:{request.url.port}" for request in server.requests]
    assert hosts == ["from-environment:1", "named:2", "127.0.0.1:8000"]


def test_a_narrow_terminal_gets_blocks_instead_of_a_crushed_table(server: Server) -> None:
    server.jobs["j1"] = [job()]
    found = run("jobs", COLUMNS="40")
    assert re.search(r"^status\s+succeeded *$", found.stdout, re.MULTILINE)
    assert max(map(len, found.stdout.splitlines())) <= 40


def test_what_a_server_says_cannot_move_the_cursor(server: Server) -> None:
    server.models = {"a\x1b[2Jb": {"aliases": {}, "versions": []}}
    assert r"a\x1b[2Jb" in run("models").stdout

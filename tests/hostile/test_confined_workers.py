"""Inference workers under the assumption that a model has taken one of their processes."""

import json
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.answers import picture
from tests.support.injected_models import ReachingModel
from tests.support.pictures import ATTEMPT, jpeg, with_fault
from tests.support.polling import wait_until
from tests.support.servers import Servers
from tests.support.submitting import ended
from tests.support.tiny_model import publish
from worker.redis.connection import connect
from worker.settings import Settings

DENIED = {1, 13, 38}  # EPERM, EACCES, ENOSYS
LEFT = {"read a model", "read a batch", "look whether another lives"}
BY_LANDLOCK = {
    *("read the keys", "read passwords", "list the data", "write to the data", "write to a model"),
    *("write a temporary file", "delete a picture", "take a sibling's pipes"),
    *("read the parent's environment", "read a sibling's environment"),
    *("read the parent's memory", "read a sibling's memory"),
}


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Run two processes that attempt what they are told to, with a forbidden model beside."""
    found = Servers(tmp_path_factory.mktemp("confined") / "data", inject=["attempting"])
    try:
        publish(found.models)
        ReachingModel(found.data / "marker").publish(found.models)
        (found.data / "keys.json").write_text("hidden word")
        (found.folders / "picture.jpg").write_bytes(jpeg(255))
        found.start()
        yield found
    finally:
        found.remove()


def predict(servers: Servers, image: bytes, model: str = "tiny") -> dict[str, Any]:
    answer = httpx.post(
        f"{servers.url}/v1/predictions", params={"model": model}, content=image, timeout=30
    )
    assert answer.status_code == 202, answer.text
    return ended(servers.url, answer.headers["Location"], within_s=90)


@pytest.fixture(scope="module")
def tried(servers: Servers, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Try everything in one living process, with another one beside it."""
    outside = tmp_path_factory.mktemp("outside") / "file"
    sibling, _ = sorted(child.pid for child in servers.children(servers.worker))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        order = {
            "sibling": sibling,
            "port": listening.getsockname()[1],
            "models": str(servers.models / "tiny"),
            "outside": str(outside),
        }
        comment = ATTEMPT + json.dumps(order).encode() + b"\0"

        def attempt() -> str | None:
            job = predict(servers, with_fault(jpeg(0), comment))
            message = str(job["error"]["message"])
            return None if message == "try again" else message

        message = wait_until(attempt, within_s=120, what="the other process tries it")
    assert message is not None
    assert not outside.exists()
    assert (servers.data / "keys.json").read_text() == "hidden word"
    assert json.loads((servers.models / "tiny" / "aliases.json").read_text()) == {"stable": 1}
    found: dict[str, Any] = json.loads(message)
    return found


def missing(servers: Servers) -> list[str]:
    """Return what this kernel or container lacks, as the workers say."""
    rows = servers.rows()
    assert rows
    return [reason for row in rows for reason in row["confinement"]["missing"]]


def test_each_process_says_what_confines_it(servers: Servers) -> None:
    for row in servers.rows():
        assert row["confinement"]["in_force"]
        for reason in row["confinement"]["missing"]:
            assert "(" in reason


def test_what_classifying_needs_is_left(tried: dict[str, Any]) -> None:
    answers = tried["answers"]
    assert {name: answers[name] for name in LEFT} in (
        dict.fromkeys(LEFT, "done"),
        dict.fromkeys(LEFT, "done") | {"look whether another lives": 1},
    )


def test_everything_else_is_denied(servers: Servers, tried: dict[str, Any]) -> None:
    lacking = missing(servers)
    answers = {name: answer for name, answer in tried["answers"].items() if name not in LEFT}
    assert len(answers) > 20
    if any("Landlock" in reason for reason in lacking):
        answers = {name: answer for name, answer in answers.items() if name not in BY_LANDLOCK}
    if any("filter" in reason for reason in lacking):
        pytest.skip(f"this kernel or container lacks it: {'; '.join(lacking)}")
    assert {name: answer for name, answer in answers.items() if answer not in DENIED} == {}


def test_the_kernel_says_the_same_of_every_process(servers: Servers, tried: dict[str, Any]) -> None:
    if missing(servers):
        pytest.skip(f"this kernel or container lacks it: {'; '.join(missing(servers))}")
    children = servers.children(servers.worker)
    assert len(children) == 2
    own = [Path(f"/proc/{child.pid}/status").read_text() for child in children]
    for status in own:
        facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert facts["NoNewPrivs"] == "1"
        assert facts["Seccomp"] == "2"
        # Nothing, or where root runs it, reading what others own in the folders of batches.
        assert int(facts["CapEff"], 16) & ~0b100 == 0
        assert int(facts["CapPrm"], 16) & ~0b100 == 0
    assert tried["status"]["Seccomp"] == "2"


def test_it_classifies_as_before(servers: Servers, tried: dict[str, Any]) -> None:
    assert predict(servers, picture(0))["status"] == "succeeded"


def test_a_forbidden_graph_is_refused_with_its_reason_and_others_are_served(
    servers: Servers,
) -> None:
    job = predict(servers, jpeg(128), "reaching")
    assert job["status"] == "failed"
    assert job["error"]["code"] == "model_unavailable"
    assert "op of kind WriteFile, which reads or writes files" in job["error"]["message"]
    assert "in the function 'deep_" in job["error"]["message"]
    rows = [graph for row in servers.rows() for graph in row["graphs"]]
    said = [graph for graph in rows if graph["model"] == "reaching"]
    assert said
    for graph in said:
        assert graph["state"] == "failed"
        assert "WriteFile" in graph["error"]
    assert not (servers.data / "marker").exists()
    assert predict(servers, jpeg(200, mark=3))["status"] == "succeeded"


def test_a_folder_that_is_made_anew_is_read(servers: Servers) -> None:
    shutil.rmtree(servers.folders)
    servers.folders.mkdir()
    (servers.folders / "new.jpg").write_bytes(jpeg(255, mark=7))
    body = {"folder": str(servers.folders), "model": "tiny"}
    answer = httpx.post(f"{servers.url}/v1/batches", json=body, timeout=30)
    assert answer.status_code == 202, answer.text
    job = ended(servers.url, answer.headers["Location"], within_s=90)
    assert (job["status"], job["progress"]["succeeded"]) == ("succeeded", 1)


def test_every_process_finds_back_to_a_redis_that_was_restarted(servers: Servers) -> None:
    servers.redis.kill()
    servers.redis.start()
    settings = Settings(redis_url=servers.redis.url, data=servers.data)
    with connect(settings) as client:
        wait_until(client.ping, within_s=30, what="Redis answers")

    def asked() -> bool:
        return bool(predict(servers, jpeg(99, mark=9))["status"] == "succeeded")

    wait_until(servers.ready, within_s=60, what="the workers are back")
    assert asked()

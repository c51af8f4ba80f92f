"""Archives that are made to harm: refused in the right class, in little memory and time."""

import gzip
import io
import json
import lzma
import os
import random
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis

from tests.support.bombs import BOMBS, entry, tar, zipped
from tests.support.pictures import jpeg
from tests.support.polling import wait_until
from tests.support.system import ROOT, System, clean_environment
from worker.redis.connection import embedded_socket

MOST_MEMORY_KIB = 60 * 1024  # that all of them together may add
MOST_SECONDS = 20.0  # of processor time for one
# Text of Python and its libraries, which nobody who reads a refusal should see.
PYTHON = re.compile(
    r"zlib|Errno|Error|not a zip file|method gz|checksum\b.*header|Bad |Truncated|unpack requires"
    r"|codec|NoneType|<class|object|0x|nvalid"
)


def read_all(paths: list[Path]) -> list[dict[str, Any]]:
    """Read archives in one process and return what it says of each."""
    finished = subprocess.run(
        [sys.executable, "-m", "tests.support.archive_reading"],
        input="".join(f"{path}\n" for path in paths),
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    return [json.loads(line) for line in finished.stdout.splitlines()]


@pytest.fixture(scope="module")
def bombs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Read every bomb in one process, one after the other."""
    folder = tmp_path_factory.mktemp("bombs")
    paths = []
    for n, (build, _) in enumerate(BOMBS.values()):
        paths.append(folder / str(n))
        paths[-1].write_bytes(build())
    return dict(zip(BOMBS, read_all(paths), strict=True))


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_answered_with_its_class_and_a_sentence(
    bombs: dict[str, dict[str, Any]], name: str
) -> None:
    found = bombs[name]
    assert found["code"] == BOMBS[name][1], found
    assert found["seconds"] < MOST_SECONDS
    if found["code"] != "read":
        assert found["said"].startswith("The archive ")
        assert found["said"].endswith(".")
    assert not PYTHON.search(found["said"]), found["said"]


def test_all_bombs_together_take_little_memory(bombs: dict[str, dict[str, Any]]) -> None:
    assert sum(found["more_kib"] for found in bombs.values()) < MOST_MEMORY_KIB


def good(kind: str) -> bytes:
    """Return an honest archive of a kind."""
    chance = random.Random(kind)
    files = [(f"a/{n}.jpg", chance.randbytes(2500)) for n in range(8)]
    if kind == "zip":
        return zipped(files, zipfile.ZIP_STORED)
    if kind == "deflated zip":
        return zipped((name, content * 3) for name, content in files)
    whole = tar(*[entry(name, content) for name, content in files])
    if kind == "pax":
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for name, content in files:
                info = tarfile.TarInfo("é" * 120 + name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return stream.getvalue()
    packings: dict[str, Callable[[bytes], bytes]] = {
        "tar": lambda content: content,
        "tar.gz": gzip.compress,
        "tar.xz": lzma.compress,
    }
    return packings[kind](whole)


KINDS = ["zip", "deflated zip", "tar", "pax", "tar.gz", "tar.xz"]


def test_damage_of_every_sort_is_told_in_our_words(tmp_path: Path) -> None:
    """Cut, flipped and spliced archives: some can be read in part, none in Python's words."""
    paths: list[Path] = []
    sorts: list[str] = []
    for kind in KINDS:
        content = good(kind)
        chance = random.Random(f"damage to {kind}")
        whole = len(content.rstrip(b"\0"))  # a tar ends with zeros that say nothing more
        damaged = [("cut", content[: int(whole * part / 40)]) for part in range(1, 40)]
        for _ in range(60):
            flipped = bytearray(content)
            for _ in range(chance.randint(1, 6)):
                flipped[chance.randrange(len(flipped))] = chance.randrange(256)
            damaged.append(("flipped", bytes(flipped)))
        for other in KINDS:
            place = chance.randrange(len(content))
            damaged.append(("spliced", content[:place] + good(other)[place:]))
        for sort, one in damaged:
            paths.append(tmp_path / f"{len(paths)}")
            paths[-1].write_bytes(one)
            sorts.append(f"{kind} {sort} to {len(one)} of {len(content)}")
    found = read_all(paths)
    assert {row["code"] for row in found} <= {
        *("read", "bad_archive", "archive_too_large", "unsupported_media"),
    }
    assert [row for row in found if PYTHON.search(row["said"])] == []
    for row, sort in zip(found, sorts, strict=True):
        if " cut " in sort:
            assert row["code"] in ("bad_archive", "unsupported_media"), (sort, row)
    assert sum(row["more_kib"] for row in found) < MOST_MEMORY_KIB


def test_what_is_honest_is_read(tmp_path: Path) -> None:
    paths = []
    for kind in KINDS:
        paths.append(tmp_path / kind)
        paths[-1].write_bytes(good(kind))
    assert {(row["code"], row["said"]) for row in read_all(paths)} == {("read", "")}


# The cases that were found, by the classes of answer that may be given.
CASES = {
    "bomb-100x20MB.zip": {"archive_too_large"},
    "bomb-bz2-1500MB.zip": {"unsupported_media", "archive_too_large"},
    "bomb-deflate-1500MB.zip": {"archive_too_large"},
    "empty.tar": {"bad_archive"},
    "empty.zip": {"bad_archive"},
    "gz-bomb-not-tar.gz": {"bad_archive", "unsupported_media"},
    "huge-size.tar": {"archive_too_large", "bad_archive"},
    "lying-crc.zip": {"read"},
    "lying-large.zip": {"archive_too_large", "read"},
    "lying-small.zip": {"read"},
    "nested.zip": {"read"},
    "overlap-1000x20MB.zip": {"archive_too_large", "bad_archive"},
    "pax-1500MB.tar.gz": {"bad_archive", "archive_too_large"},
    "poly.zip.jpg": {"unsupported_media"},
    "skip-3000MB.tar.gz": {"archive_too_large"},
    "skip-3000MB.tar.xz": {"archive_too_large"},
    "symlink-device.zip": {"read"},
    "traversal.zip": {"read"},
    "truncated.tar.gz": {"bad_archive"},
    "truncated.zip": {"bad_archive"},
    "unicode.zip": {"read"},
    "zip64.zip": {"read"},
}


@pytest.fixture(scope="session")
def case_archives(fixtures_folder: Path) -> list[Path]:
    """Return the archives that were found, or skip."""
    folder = fixtures_folder.parent / "cases" / "hostile" / "archives"
    if not folder.is_dir():
        pytest.skip(f"there are no cases in {folder}")
    return sorted(folder.iterdir())


def test_the_cases_that_were_found_are_harmless(case_archives: list[Path]) -> None:
    found = read_all(case_archives)
    for path, row in zip(case_archives, found, strict=True):
        assert row["code"] in CASES.get(path.name, {row["code"]}), (path.name, row)
        assert not PYTHON.search(row["said"]), row["said"]
    assert sum(row["more_kib"] for row in found) < MOST_MEMORY_KIB


# -- over HTTP, against the whole system --------------------------------------------------------


def api_processes(system: System) -> list[psutil.Process]:
    """Return the processes that serve HTTP."""
    return [one for one in system.processes() if "gunicorn" in " ".join(one.cmdline())]


def used_memory(system: System) -> int:
    """Return the bytes that the system's Redis holds."""
    with redis.Redis(unix_socket_path=str(embedded_socket(system.data))) as client:
        return int(client.info("memory")["used_memory"])


def sent(system: System, kind: str, path: Path) -> httpx.Response:
    """Send an archive as a batch or as a model."""
    with path.open("rb") as file:
        data = {"options": json.dumps({"name": "hostile"})} if kind == "freezes" else {}
        return httpx.post(
            f"{system.url}/v1/{kind}", files={"archive": (path.name, file)}, data=data, timeout=120
        )


def ended(system: System, answer: httpx.Response) -> dict[str, Any]:
    """Return the job of an answer once it has ended."""
    url = system.url + answer.headers["Location"]
    found: dict[str, Any] = {}

    def has_ended() -> bool:
        found.update(httpx.get(url, params={"wait": 5}, timeout=30).json())
        return found["status"] in ("succeeded", "failed", "cancelled")

    wait_until(has_ended, within_s=180, what=f"the end of {url}")
    return found


def predict(system: System) -> int:
    """Send a good photograph and return the status of its answer."""
    return httpx.post(
        f"{system.url}/v1/predictions",
        content=jpeg(64),
        headers={"Content-Type": "image/jpeg", "Prefer": "wait=30"},
        timeout=60,
    ).status_code


OVER_HTTP = [
    *("zip of bzip2", "zip that is encrypted", "zip whose members overlap", "no archive"),
    *("tar.gz with a pax header of 100 MiB", "tar.gz that passes over 150 MiB"),
    *("zip without a file", "zip of 20,000 empty files", "tar.xz with a dictionary of 4 GiB"),
]
STATUS = {"archive_too_large": 413, "bad_archive": 400, "unsupported_media": 415}


def test_hostile_archives_leave_the_system_as_it_was(system: System, tmp_path: Path) -> None:
    """Each is sent once as a batch and once as a model: refused at the door or done with.

    Those that were found are among them where they are at hand.
    """
    assert predict(system) == 200
    before = used_memory(system)
    processes = api_processes(system)
    assert processes
    resident = {one.pid: one.memory_info().rss for one in processes}
    archives = [(tmp_path / str(n), BOMBS[name]) for n, name in enumerate(OVER_HTTP)]
    for path, (build, _) in archives:
        path.write_bytes(build())
    codes = {path: code for path, (_, code) in archives}
    fixtures = Path(os.environ.get("PERMAFROST_FIXTURES") or tmp_path / "none")
    folder = fixtures.resolve().parent / "cases" / "hostile" / "archives"
    accepted = []
    for kind in ("batches", "freezes"):
        for path in (*codes, *(sorted(folder.iterdir()) if folder.is_dir() else ())):
            answer = sent(system, kind, path)
            if path in codes:
                assert answer.status_code == STATUS[codes[path]], (path, answer.text)
                assert answer.json()["code"] == codes[path]
            if answer.status_code == 202:
                accepted.append(answer)
            else:
                assert 400 <= answer.status_code < 500, (path, answer.text)
                assert answer.json()["code"] in STATUS, (path, answer.text)
                assert not PYTHON.search(answer.json()["detail"]), answer.text
            assert predict(system) == 200
    for answer in accepted:
        assert not PYTHON.search((ended(system, answer)["error"] or {"message": ""})["message"])
    good_zip = tmp_path / "good.zip"
    good_zip.write_bytes(zipped([("a.jpg", jpeg(64))]))
    assert ended(system, sent(system, "batches", good_zip))["status"] == "succeeded"
    assert predict(system) == 200
    more = max(one.memory_info().rss - resident[one.pid] for one in processes)
    assert more < 100 * 2**20
    # Failed images of the batches that were accepted stay for a retry; they are small.
    assert used_memory(system) - before < 16 * 2**20

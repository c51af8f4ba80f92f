"""Disks that are full or cannot be written: a clear failure, and nothing half visible."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.freezing import Freezing
from tests.support.polling import wait_until

SMALL_BYTES = 64 * 1024  # less than the graph
LARGE = bytes(3 * 1024 * 1024)


@contextmanager
def mounted(folder: Path, size: int = SMALL_BYTES, mode: str = "rw") -> Iterator[None]:
    """Have a small file system of its own over the folder, or one that cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    options = f"size={size},{mode}"
    mount = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    answer = subprocess.run(mount, capture_output=True, text=True, check=False)
    if answer.returncode:
        pytest.skip(f"file systems cannot be mounted here: {answer.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module", autouse=True)
def _as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a file system that is small enough to fill")


@pytest.fixture(scope="module")
def freezing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Freezing]:
    folder = tmp_path_factory.mktemp("full")
    spool = folder / "spool"
    with mounted(spool, 1024 * 1024):
        scene = Freezing(folder / "data", TMPDIR=str(spool))
        make_wide(scene)
        try:
            scene.start()
            yield scene
        finally:
            scene.servers.remove()


def make_wide(freezing: Freezing) -> None:
    """Make a source whose graph is larger than the small file systems."""
    import tensorflow as tf

    from tests.unit.freezing import networks
    from tests.unit.freezing.saved import save

    def build() -> None:
        logits = networks.dense(networks.flat(networks.image_placeholder()), 1000, "dense")
        tf.nn.softmax(logits, name="y_pred")

    save(freezing.data / "sources" / "wide", build)


def failed(freezing: Freezing, name: str) -> dict[str, str]:
    """Return the error of a freeze, of which nothing may be seen."""
    job = freezing.ended(freezing.submit(name, source="wide"))
    assert job["status"] == "failed", job
    assert httpx.get(f"{freezing.servers.url}/v1/models/{name}", timeout=30).status_code == 404
    assert freezing.versions(name) == []
    error: dict[str, str] = job["error"]
    return error


def test_a_full_work_folder_fails_the_freeze(freezing: Freezing) -> None:
    with mounted(freezing.data / "freezing"):
        error = failed(freezing, "work-full")
        assert error["code"] == "storage"
        assert "No space left on device" in error["message"]
        wait_until(lambda: not freezing.work_folders(), within_s=5, what="no folder is left")


def test_a_full_registry_fails_the_publication(freezing: Freezing) -> None:
    with mounted(freezing.servers.models):
        error = failed(freezing, "registry-full")
        assert error["code"] == "storage"
        assert "No space left on device" in error["message"]
        staging = freezing.servers.models / ".staging"
        assert not staging.is_dir() or not list(staging.iterdir())


@pytest.mark.parametrize("folder", ["freezing", "models"])
def test_a_folder_that_cannot_be_written_fails_the_freeze(freezing: Freezing, folder: str) -> None:
    with mounted(freezing.data / folder, mode="ro"):
        error = failed(freezing, f"read-only-{folder}")
    assert error["code"] == "storage"
    assert "Read-only file system" in error["message"]


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/v1/freezes", {"files": [("files", ("model.pb", LARGE))], "data": {"options": "{}"}}),
        ("/v1/predictions", {"files": [("image", ("cat.jpg", LARGE))]}),
        ("/v1/batches", {"files": [("archive", ("images.zip", LARGE))]}),
    ],
)
def test_an_upload_that_fills_the_disk_is_refused_and_said(
    freezing: Freezing, path: str, form: dict[str, Any]
) -> None:
    before = httpx.get(f"{freezing.servers.url}/v1/jobs", timeout=30).json()
    answer = httpx.post(f"{freezing.servers.url}{path}", **form, timeout=30)
    assert answer.status_code == 507, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Retry-After"]
    problem = answer.json()
    assert problem["code"] == "storage"
    assert "disk is full" in problem["detail"]
    assert httpx.get(f"{freezing.servers.url}/v1/jobs", timeout=30).json() == before
    with freezing.servers.store() as store:
        assert not [name for name in store.scan_iter() if b"chunk" in name or b"upload" in name]


def test_with_space_again_everything_goes_on(freezing: Freezing) -> None:
    job = freezing.ended(freezing.submit("again", source="wide"))
    assert job["status"] == "succeeded", job
    assert freezing.versions("again") == [1]

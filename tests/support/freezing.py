"""An API and a freezing worker on one data folder, and what a test does with their freezes."""

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.support.polling import wait_until
from tests.support.servers import Servers
from tests.support.submitting import ENDED
from worker.models.registry import GRAPH_FILE, MANIFEST_FILE

QUICK = {
    "PERMAFROST_LEASE_S": "2",
    "PERMAFROST_SWEEP_INTERVAL_S": "0.5",
    "PERMAFROST_HEARTBEAT_S": "0.5",
}


class Freezing:
    """The services, started, with the tiny checkpoint `plain` under the sources root."""

    def __init__(self, data: Path, *, inject: tuple[str, ...] = (), **settings: str) -> None:
        environment: dict[str, Any] = {**QUICK, **settings}
        self.servers = Servers(data, services=(), **environment)
        self.data = data
        self.inject = inject
        self._make_source()

    def start(self) -> None:
        """Start everything and wait until it is ready."""
        self.servers.start_freezing(inject=self.inject)
        self.servers.start_api()
        wait_until(self.servers.ready, within_s=120, what="the freezing worker is ready")

    def submit(self, name: str, **fields: Any) -> str:
        """Have a freeze of the tiny checkpoint accepted and return the job's id."""
        asked = {"name": name, "source": "plain", "outputs": ["y_pred"], **fields}
        answer = httpx.post(f"{self.servers.url}/v1/freezes", json=asked, timeout=30)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def job(self, job_id: str) -> dict[str, Any]:
        """Return the job."""
        answer = httpx.get(f"{self.servers.url}/v1/jobs/{job_id}", timeout=30)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def ended(self, job_id: str, within_s: float = 120) -> dict[str, Any]:
        """Return the job once it has ended."""

        def look() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["status"] in ENDED else None

        job = wait_until(look, within_s=within_s, what=f"job {job_id} ends", every_s=0.1)
        assert job is not None
        return job

    def children(self) -> list[psutil.Process]:
        """Return the living processes that freeze for this freezing worker."""
        return children_of(self.servers.services["freezing"].pid)

    def wait_for_children(self, count: int = 1) -> list[psutil.Process]:
        """Return them once there are so many: the child, and what it has forked."""

        def look() -> list[psutil.Process]:
            found = self.children()
            return found if len(found) >= count else []

        return wait_until(look, within_s=60, what="a freeze has begun", every_s=0.01)

    def work_folders(self) -> list[str]:
        """Return what lies where freezes work."""
        folder = self.data / "freezing"
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []

    def versions(self, name: str) -> list[int]:
        """Return the versions that the disk shows; each must be whole."""
        folder = self.servers.models / name
        found = [entry for entry in folder.glob("*") if entry.name.isdigit()]
        for version in found:
            manifest = httpx.get(
                f"{self.servers.url}/v1/models/{name}/versions/{version.name}", timeout=30
            ).json()
            assert (version / MANIFEST_FILE).is_file()
            assert manifest["sha256"] == _sha256(version / GRAPH_FILE)
        return sorted(int(version.name) for version in found)

    def _make_source(self) -> None:
        from tests.unit.freezing import networks
        from tests.unit.freezing.saved import save

        save(self.data / "sources" / "plain", networks.plain)


def children_of(pid: int) -> list[psutil.Process]:
    """Return the living processes that work on orders for a process or one that it has forked.

    Each child leads a session of its own, in which all that it forks stays; the fork server that it
    comes from does not.
    """
    found = []
    for process in psutil.Process(pid).children(recursive=True):
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            leader = psutil.Process(os.getsid(process.pid))
            parent = psutil.Process(leader.ppid())
            if "freezing.preloaded" not in leader.cmdline() or pid not in {
                parent.pid,
                parent.ppid(),
            }:
                continue
            if process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

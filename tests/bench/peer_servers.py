"""The peers as servers."""

import json
import os
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from tests.bench.peer_settings import Peer
from tests.bench.processor_time import family
from tests.support.polling import wait_until
from tests.support.redis_server import RedisServer
from tests.support.system import ROOT, clean_environment, free_port
from worker.inference.onednn import switch_on

# Of a submission, by what a peer takes.
PATHS = {"forms": "/predict", "jobs": "/jobs", "triton": "/v2/models/bench/infer"}
_START_S = 600  # for TensorFlow's import in many processes at once


class PeerServer:
    """One running peer."""

    def __init__(self, peer: Peer, model: Path, python: Path, log: Path) -> None:
        self.peer = peer
        self.port = free_port()
        self._model, self._python, self._log = model, python, log
        self._processes: list[subprocess.Popen[bytes]] = []
        self._redis: RedisServer | None = None

    def start(self) -> None:
        """Start it; `await_ready` waits for it."""
        environment = clean_environment(
            PEER_MODEL=str(self._model),
            PEER_WORKERS=str(_cores()),
            PYTHONPATH=str(ROOT),
            TF_CPP_MIN_LOG_LEVEL="3",
            CUDA_VISIBLE_DEVICES="",
            BENTOML_DO_NOT_TRACK="True",
        )
        switch_on(environment)  # a documented setting of TensorFlow, which Permafrost has too
        if self.peer.redis:
            self._redis = RedisServer(("--save", "", "--appendonly", "yes"))
            environment["PEER_REDIS"] = f"redis+socket://{self._redis.socket}"
        others = {"grpc": free_port(), "metrics": free_port()}
        libraries = sysconfig.get_config_var("LIBDIR")
        filled = {"port": self.port, "cores": _cores(), "libraries": libraries, **others}
        folder = self._log.with_name(f"{self._log.name}.files")
        folder.mkdir(exist_ok=True)
        for name, value in self.peer.environment.items():
            environment[name] = value.format(**filled)
        for command in self.peer.commands:
            words = [word.format(**filled) for word in command]
            with self._log.open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        [str(self._python), *words[1:]],
                        cwd=folder,
                        env=environment,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )

    def await_ready(self, photograph: bytes, within_s: float = _START_S) -> None:
        """Wait until it answers an upload."""

        def answers() -> bool:
            for process in self._processes:
                assert process.poll() is None, f"{self.peer.title} ended:\n{self.log()}"
            with suppress(httpx.TransportError):
                return httpx.get(f"http://127.0.0.1:{self.port}{self.peer.health}").is_success
            return False

        wait_until(answers, within_s=within_s, what=f"{self.peer.title} is up", every_s=0.2)
        self.classify(photograph)
        if "jobs" in self.peer.takes:
            self._await_job(photograph)

    def rest(self) -> None:
        """Stop the processes of a sleepless peer, whose turn it is not."""
        self._signal(signal.SIGSTOP)

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Let it run for a turn."""
        self._signal(signal.SIGCONT)
        try:
            yield
        finally:
            self.rest()

    def _signal(self, number: signal.Signals) -> None:
        if self.peer.sleepless:
            for pids in self.roles().values():
                for pid in pids:
                    with suppress(ProcessLookupError):
                        os.kill(pid, number)

    def classify(self, photograph: bytes) -> list[dict[str, object]]:
        """Return its predictions for an upload."""
        if "triton" in self.peer.takes:
            head, tensor = triton_tensor(photograph)
            length = {"Inference-Header-Content-Length": str(len(head))}
            answer = self._post("triton", content=head + tensor, headers=length)
            body = json.loads(answer.content[answer.content.index(b'{"predictions"') :])
        else:
            body = self._post("forms", files=_form(photograph)).json()
        if isinstance(body, list):  # BentoML's, of an endpoint that batches
            (body,) = body
        predictions: list[dict[str, object]] = body["predictions"]
        return predictions

    def _post(self, kind: str, **request: Any) -> httpx.Response:
        url = f"http://127.0.0.1:{self.port}{PATHS[kind]}"
        answer = httpx.post(url, timeout=_START_S, **request)
        assert answer.is_success, f"{self.peer.title}: {answer.text}\n{self.log()}"
        return answer

    def _await_job(self, photograph: bytes) -> None:
        """Submit a photograph and ask for its job until there is a result."""
        location = self._post("jobs", files=_form(photograph)).headers["Location"]

        def look() -> bool:
            job = httpx.get(f"http://127.0.0.1:{self.port}{location}", timeout=60).json()
            assert job["status"] != "failed", f"{self.peer.title}: {job}\n{self.log()}"
            return bool(job["status"] == "succeeded")

        wait_until(look, within_s=_START_S, what=f"{self.peer.title} has a result")

    def roles(self) -> dict[str, list[int]]:
        """Return its processes by role."""
        found: dict[str, list[int]] = {}
        for number, process in enumerate(self._processes):
            name = "" if len(self._processes) == 1 else ("web ", "worker ")[number]
            found |= {f"{name}{role}": pids for role, pids in family(process.pid).items()}
        if self._redis is not None:
            found["redis"] = [self._redis.process.pid]
        return found

    def log(self, lines: int = 20) -> str:
        """Return the end of its log."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """Kill it; there is nothing that it would have to keep."""
        for process in self._processes:
            members = [pid for pids in family(process.pid).values() for pid in pids]
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            for pid in members:  # some make sessions of their own
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait()
        self._processes = []
        if self._redis is not None:
            self._redis.remove()
            self._redis = None


def _cores() -> int:
    return len(os.sched_getaffinity(0))


def _form(photograph: bytes) -> dict[str, tuple[str, bytes, str]]:
    return {"image": ("photograph.jpg", photograph, "image/jpeg")}


def triton_tensor(photograph: bytes) -> tuple[bytes, bytes]:
    """Return a request of Triton's protocol: its JSON, and the photograph as a tensor of bytes.

    See the extension "binary tensor data" of the Open Inference Protocol.
    """
    tensor = len(photograph).to_bytes(4, "little") + photograph
    size = {"binary_data_size": len(tensor)}
    asked = {
        "inputs": [{"name": "image", "shape": [1, 1], "datatype": "BYTES", "parameters": size}],
        "outputs": [{"name": "answer", "parameters": {"binary_data": True}}],
    }
    return json.dumps(asked).encode(), tensor

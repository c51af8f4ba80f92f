"""The peers as servers: how each is started, with the fastest of the settings that were tried.

What was tried is printed with each run: images/s with 32 clients, or ms with one, of the tutorial's
graph on 2 cores.
"""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx

from tests.bench.processor_time import family
from tests.bench.wanted import MANY, ONE, PARTS
from tests.support.polling import wait_until
from tests.support.redis_server import RedisServer
from tests.support.system import ROOT, clean_environment, free_port
from worker.models.manifest import Runtime
from worker.onednn import switch_on

_START_S = 600  # for TensorFlow's import in many processes at once
PACKAGE = "tests.bench.peers"


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One way to serve a graph. `{port}` and `{cores}` in a command are filled in."""

    key: str
    title: str
    settings: str  # in words
    tried: str  # other settings, and what came of them
    commands: Sequence[Sequence[str]]  # the first is the one that answers
    health: str = "/health"
    redis: bool = False
    sleepless: bool = False  # it asks all the time whether there is work, and is stopped meanwhile
    clients: int = 32  # that it is the fastest with, at most 32
    environment: Mapping[str, str] = field(default_factory=dict)
    runtime: Runtime = "tensorflow"  # that it serves the graph with
    parts: frozenset[str] = frozenset(PARTS)  # of a run that it takes part in


LITSERVE = Peer(
    key="litserve",
    title="LitServe, batching",
    settings="max_batch_size 16, batch_timeout 5 ms, one worker per core, one API server",
    tried="16 and 5 ms: 464 /s; 16 and 2 ms: 456; 32 and 5 ms: 448; 16 and 10 ms: 255; with "
    "fast_queue: 272; with 2 API servers: 420; without batching: 321, with fast_queue 445",
    sleepless=True,  # a fifth of a core, asking its queue every tenth of a ms
    commands=[("python", "-m", f"{PACKAGE}.litserve_app", "{port}", "{cores}", "16", "0.005")],
)
LITSERVE_ONNX = replace(
    LITSERVE,
    key="litserve-onnx",
    title="LitServe, batching, ONNX Runtime",
    tried="those of LitServe with TensorFlow",
    runtime="onnxruntime",
    parts=frozenset({MANY}),
)
LITSERVE_ONE = Peer(
    key="litserve-one",
    title="LitServe, no batching",
    settings="no batching, fast_queue, one worker per core, one API server",
    tried="4.4 ms; without fast_queue 4.6; batching with 2, 5 and 10 ms of timeout: 5.7, 8.7, 13.8",
    commands=[("python", "-m", f"{PACKAGE}.litserve_app", "{port}", "{cores}", "1", "0")],
    environment={"PEER_FAST_QUEUE": "1"},
    parts=frozenset({ONE}),
)
BENTOML = Peer(
    key="bentoml",
    title="BentoML, adaptive batching",
    settings="max_batch_size 32, max_latency_ms 1000, one worker per core, no access log",
    tried="32 and 1000 ms: 496 /s; 32 and 100 ms: 478, and some answers 503; 16 and 100 ms: 445, "
    "and some 503; 20 ms or less: most answers 503. One client: 38 ms, with 5 ms 4.5",
    commands=[
        (
            *("python", "-m", "bentoml", "serve", f"{PACKAGE}.bentoml_app:Classifier"),
            *("--host", "127.0.0.1", "--port", "{port}"),
        )
    ],
    health="/livez",
    environment={"PEER_BATCH": "32", "PEER_LATENCY_MS": "1000"},
)
FLASK = Peer(
    key="flask",
    title="Flask, graph loaded once",
    settings="gunicorn, one gthread worker per core, 4 threads each",
    tried="4 threads: 498 /s; 1: 434; 2: 492; 16: 494; sync workers: 470; twice as many workers "
    "482; half as many: 442. One client: 3.7 to 4.1 ms with all of them",
    commands=[
        (
            *("python", "-m", "gunicorn", f"{PACKAGE}.flask_app:app", "--bind", "127.0.0.1:{port}"),
            *("--workers", "{cores}", "--worker-class", "gthread", "--threads", "4"),
            *("--no-control-socket", "--log-level", "warning"),
        )
    ],
)
TUTORIAL = Peer(
    key="tutorial",
    title="the tutorial's web app",
    settings="Flask's development server, a session per upload; as many clients as cores",
    tried="12 /s; with 32 clients, so 32 sessions at once: 2",
    commands=[("python", "-m", f"{PACKAGE}.tutorial_app", "{port}")],
    clients=len(os.sched_getaffinity(0)),
)
CELERY = Peer(
    key="celery",
    title="plain Celery, a task per image",
    settings="gunicorn with 2 gthread workers of 32 threads, Redis as broker and result backend, "
    "prefork worker with one process per core, prefetch 1",
    tried="prefetch 1: 226 /s; 4: 222; 16: 218; 16 threads: 229; one client: 6.6 to 6.9 ms",
    commands=[
        (
            *("python", "-m", "gunicorn", f"{PACKAGE}.celery_app:web"),
            *("--bind", "127.0.0.1:{port}", "--workers", "2"),
            *("--worker-class", "gthread", "--threads", "32"),
            *("--no-control-socket", "--log-level", "warning"),
        ),
        (
            *("python", "-m", "celery", "--app", f"{PACKAGE}.celery_app", "worker"),
            *("--concurrency", "{cores}", "--loglevel", "WARNING"),
            *("--without-gossip", "--without-mingle", "--prefetch-multiplier", "1"),
        ),
    ],
    redis=True,
    environment={"C_FORCE_ROOT": "1"},  # pickle as root: this Redis is nobody else's
)
PEERS = (LITSERVE, LITSERVE_ONE, LITSERVE_ONNX, BENTOML, FLASK, TUTORIAL, CELERY)


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
            **self.peer.environment,
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
        for command in self.peer.commands:
            words = [word.format(port=self.port, cores=_cores()) for word in command]
            with self._log.open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        [str(self._python), *words[1:]],
                        cwd=self._log.parent,
                        env=environment,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                    )
                )

    def await_ready(self, photograph: bytes) -> None:
        """Wait until it answers an upload."""

        def answers() -> bool:
            for process in self._processes:
                assert process.poll() is None, f"{self.peer.title} ended:\n{self.log()}"
            with suppress(httpx.TransportError):
                return httpx.get(f"http://127.0.0.1:{self.port}{self.peer.health}").is_success
            return False

        wait_until(answers, within_s=_START_S, what=f"{self.peer.title} is up", every_s=0.2)
        self.classify(photograph)

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
        answer = httpx.post(
            f"http://127.0.0.1:{self.port}/predict",
            files={"image": ("photograph.jpg", photograph, "image/jpeg")},
            timeout=_START_S,
        )
        assert answer.status_code == 200, f"{self.peer.title}: {answer.text}\n{self.log()}"
        body = answer.json()
        if isinstance(body, list):  # BentoML's, of an endpoint that batches
            (body,) = body
        predictions: list[dict[str, object]] = body["predictions"]
        return predictions

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

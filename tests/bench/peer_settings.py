"""The peers: how each is started, with the fastest of the settings that were tried.

What was tried is printed with each run: images/s with 32 clients, or ms with one, of the tutorial's
graph on 2 cores.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from tests.bench.wanted import MANY, ONE, PARTS
from worker.models.manifest import Runtime

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
    # What it takes: forms that are answered with the result, forms whose job is asked for, or
    # Triton's protocol.
    takes: frozenset[Literal["forms", "jobs", "triton"]] = frozenset({"forms"})
    installed: str = "peers"  # the environment that it runs in


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
    takes=frozenset({"forms", "jobs"}),
)
RAY = Peer(
    key="ray",
    title="Ray Serve, batching",
    settings="RAY_SERVE_ENABLE_HA_PROXY and RAY_SERVE_THROUGHPUT_OPTIMIZED, a replica per core, "
    "max_batch_size 16, batch_wait_timeout_s 0.005, no access log; asynchronous inference: "
    "Celery's tasks on Redis, consumed by a replica per core with 4 threads each, prefetch 1",
    tried="279 /s and 16.8 ms; without the two switches: 71 and 36.9, on a busy machine",
    commands=[("python", "-m", f"{PACKAGE}.ray_app", "{port}", "{cores}")],
    health="/jobs/health",  # of the application that is deployed last
    redis=True,
    sleepless=True,  # its processes watch each other: a quarter of a core
    environment={
        "RAY_SERVE_ENABLE_HA_PROXY": "1",
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_HAPROXY_METRICS_PORT": "{metrics}",
        "RAY_SERVE_HAPROXY_STATS_PORT": "{grpc}",
        "C_FORCE_ROOT": "1",  # as with plain Celery
    },
    installed="ray",
    takes=frozenset({"forms", "jobs"}),
)
MLSERVER = Peer(
    key="mlserver",
    title="MLServer",
    settings="parallel inference with a worker per core, an endpoint of its own for forms, which "
    "is not batched; no debugging",
    tried="184 /s and 8.0 ms; its own protocol, base64 in JSON, with adaptive batching of 16 and "
    "5 ms: 130 and 17.7, on the same busy machine",
    commands=[("python", "-m", "mlserver.cli.main", "start", ".")],
    health="/v2/health/ready",
    environment={
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_HTTP_PORT": "{port}",
        "MLSERVER_GRPC_PORT": "{grpc}",
        "MLSERVER_METRICS_PORT": "{metrics}",
        "MLSERVER_PARALLEL_WORKERS": "{cores}",
        "MLSERVER_DEBUG": "false",
        "MLSERVER_MODEL_NAME": "bench",
        "MLSERVER_MODEL_IMPLEMENTATION": f"{PACKAGE}.mlserver_app.Classifier",
    },
    installed="mlserver",
)
TRITON = Peer(
    key="triton",
    title="Triton (PyTriton), dynamic batching",
    settings="max_batch_size 16, max_queue_delay 5 ms, an instance per core; its own protocol with "
    "binary tensors",
    tried="16 and 5 ms: 214 /s and 16.4 ms; 16 and 0 ms: 150 and 8.5; 32 and 2 ms: 140; one "
    "instance: 130, on the same busy machine",
    commands=[
        ("python", "-m", f"{PACKAGE}.triton_app", "{port}", "{grpc}", "{metrics}", "{cores}")
    ],
    health="/v2/models/bench/ready",
    # Triton's Python backend must find the library of the interpreter that it runs for.
    environment={"PEER_DELAY_US": "5000", "LD_LIBRARY_PATH": "{libraries}"},
    takes=frozenset({"triton"}),
    installed="triton",
)
PEERS = (LITSERVE, LITSERVE_ONE, LITSERVE_ONNX, BENTOML, FLASK, TUTORIAL, CELERY)
# Those that are asked in every shape of a request.
CLIENT_PEERS = (LITSERVE, FLASK, BENTOML, CELERY, RAY, MLSERVER, TRITON)

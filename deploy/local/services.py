"""The services of the local system: what runs, in which order, and for how long it may stop."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from api.access.origin_policy import is_address
from deploy.local.layout import Layout
from deploy.local.options import Options, bracketed
from worker.settings import Settings, listed

API_THREADS = 64  # per API process, for what is not answered in its event loop
API_CONNECTIONS = 10_000  # likewise; most of them wait
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - only gunicorn's heartbeat file goes there  # nosec B108


@dataclass(frozen=True, kw_only=True)
class Service:
    """One program that supervisor keeps running.

    Services are started in ascending and stopped in descending order of `stage`; those of one
    stage together.
    """

    name: str  # of its log, and in supervisor
    title: str  # what a person calls it
    stage: int
    command: tuple[str, ...]
    start_s: int  # one that ends sooner after its start than this has failed to start
    stop_s: int  # one that takes longer to stop than this is killed


def services(
    options: Options, layout: Layout, settings: Settings, redis_executable: str | None
) -> tuple[Service, ...]:
    """Return the services in starting order; without Redis where REDIS_URL names one."""
    chosen = [
        _workers(options, settings),
        _freezing(settings),
        _webhooks(),
        _api(options, settings),
    ]
    if redis_executable:
        chosen.insert(0, _redis(layout, redis_executable))
    return tuple(chosen)


def _redis(layout: Layout, executable: str) -> Service:
    return Service(
        name="redis",
        title="Redis",
        stage=1,
        command=(executable, str(layout.redis_configuration)),
        start_s=1,
        stop_s=60,  # it writes out what is not on disk yet
    )


def _celery(settings: Settings, *arguments: str) -> tuple[str, ...]:
    # Mingling and gossip would make one worker wait for the other's start and tell it what no
    # task here needs. Prefetch drifts on Redis with late acks; a worker takes what it can run.
    return (
        *(sys.executable, "-m", "celery", "-A", "worker.app", "worker"),
        *arguments,
        *("--pool", "prefork", "--disable-prefetch", "--without-mingle", "--without-gossip"),
        *("--loglevel", settings.log_level.upper()),
    )


def _workers(options: Options, settings: Settings) -> Service:
    return Service(
        name="worker",
        title="the inference worker",
        stage=2,
        command=_celery(
            settings,
            *("-Q", "interactive,bulk", "-n", "inference@%h"),
            *("--concurrency", str(options.workers)),
        ),
        start_s=10,
        stop_s=20,  # a micro-batch takes far less
    )


def _freezing(settings: Settings) -> Service:
    return Service(
        name="freezing",
        title="the freezing worker",
        stage=2,
        command=_celery(
            settings,
            *("-Q", "freezing", "-I", "freezing.tasks", "-n", "freezing@%h"),
            *("--concurrency", "1"),
        ),
        start_s=10,
        stop_s=10,  # a freeze that takes longer is started afresh after the next `up`
    )


def _webhooks() -> Service:
    return Service(
        name="webhooks",
        title="the deliverer of webhooks",
        stage=2,
        command=(sys.executable, "-m", "worker.webhooks"),
        start_s=2,
        stop_s=15,
    )


def _api(options: Options, settings: Settings) -> Service:
    heartbeat = (
        ("--worker-tmp-dir", str(SHARED_MEMORY)) if os.access(SHARED_MEMORY, os.W_OK) else ()
    )
    return Service(
        name="api",
        title="the API",
        stage=3,
        command=(
            *(sys.executable, "-m", "gunicorn", "api:create_app()"),
            *("--bind", f"{bracketed(options.host)}:{options.port}"),
            *("--workers", str(options.web_concurrency)),
            *("--worker-class", "api.server.worker.DoorWorker", "--threads", str(API_THREADS)),
            *("--worker-connections", str(API_CONNECTIONS)),
            *("--timeout", "60", "--graceful-timeout", "5", "--keep-alive", "5"),
            *heartbeat,
            *_known_as(options.host, settings),
            *("--umask", "077"),
            *("--env", f"PERMAFROST_ACCESS={settings.access}"),
            *("--env", f"PERMAFROST_HOST={options.host}"),
            *("--no-control-socket", "--log-level", settings.log_level.lower()),
        ),
        start_s=5,
        stop_s=10,
    )


def _known_as(host: str, settings: Settings) -> tuple[str, ...]:
    """Return what lets requests name the host that the API is bound to; an address always may."""
    if is_address(host) or host == "localhost":
        return ()
    hosts = ",".join((*listed(settings.allowed_hosts), host))
    return ("--env", f"PERMAFROST_ALLOWED_HOSTS={hosts}")

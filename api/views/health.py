"""`/healthz`, `/readyz` and `/metrics`: what operators expect."""

from collections.abc import Iterable

import redis
from flask import Blueprint, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from api.access import identity
from api.http.answers import json_response
from api.services import LoopServices, services
from worker.contract.base import built
from worker.contract.health import Health, Readiness
from worker.contract.workers import WORKER_STATES, Worker, WorkerGraph
from worker.credentials.api_key import Scope
from worker.errors import ModelNotFoundError, ModelUnavailableError
from worker.jobs.backlog import backlogs
from worker.jobs.keys import key
from worker.jobs.records import Kind, Lane, Status
from worker.models.manifest import Manifest, ModelRef
from worker.webhooks.deliveries import Deliveries

blueprint = Blueprint("health", __name__)


@blueprint.get("/healthz")
def healthz() -> Response:
    """Say that this process answers; asks nothing of Redis or the workers."""
    return json_response(Health(status="ok"))


async def live(_loop_services: LoopServices) -> Response:
    """Answer the same in the event loop: also while all threads are at work."""
    return healthz()


@blueprint.get("/readyz")
def readyz() -> Response:
    """Say whether predictions can be made now: Redis answers, a worker is ready and holds a model.

    `models` says for each model whether a worker holds its stable version, is loading it, or why it
    cannot. One that fails while others are served does not make the whole system unready. Where
    keys are needed, only callers whose key may read see models and workers.
    """
    may_see = True  # the caller: models and workers
    reasons: list[str] = []
    models: dict[str, str] = {}
    ready: list[Worker] = []
    try:
        workers = services().roster.read()
        ready = [w for w in workers if w.state == "ready" and Lane.INTERACTIVE in w.queues]
        models = _model_states(ready)
        may_see = _may_see()
    except redis.RedisError:
        reasons.append("Redis does not answer.")
    else:
        if not ready:
            reasons.append("No inference worker is ready.")
        elif models and "ready" not in models.values():
            reasons += (
                [f"Model {name}: {state}." for name, state in models.items()]
                if may_see
                else ["No model is ready."]
            )
    details = {"workers": len(ready), "models": models} if may_see else {}
    body = built(Readiness, status="unready" if reasons else "ready", reasons=reasons, **details)
    response = json_response(body)
    response.status_code = 503 if reasons else 200
    return response


def _may_see() -> bool:
    """Whether the caller may see which models and workers there are."""
    if identity.grant() is not None:
        return identity.may(Scope.READ)
    try:
        return not services().loop.run(_needs_key)
    except redis.RedisError:  # there is nothing to hide then but this error
        return True


async def _needs_key(loop_services: LoopServices) -> bool:
    return await loop_services.authentication.required()


def _model_states(workers: list[Worker]) -> dict[str, str]:
    """Return for each model `ready` where some worker can run its stable version, else why not."""
    states: dict[str, str] = {}
    aside = services().set_aside.all()
    for name in services().registry.names():
        try:
            manifest = services().registry.resolve(ModelRef(name, None, None))
        except ModelNotFoundError:  # no version is its stable one
            continue
        except ModelUnavailableError as error:
            states[name] = error.message.rstrip(".")
            continue
        if not manifest.classifies:  # no worker loads it
            continue
        found = aside.get(f"{manifest.name}@{manifest.version}")
        if found is not None and found.means(manifest.sha256):
            states[name] = found.error(manifest.name, manifest.version).message
            continue
        rows = [g for worker in workers for g in worker.graphs if _is_of(g, manifest)]
        known = {row.state for row in rows}
        errors = [row.error for row in rows if row.error]
        if known & {"ready", "dropped"}:  # dropped: loaded on demand, for lack of memory
            states[manifest.name] = "ready"
        elif "loading" in known or not errors:
            states[manifest.name] = "loading"
        else:
            states[manifest.name] = errors[0].rstrip(".")
    return states


def _is_of(graph: WorkerGraph, manifest: Manifest) -> bool:
    """Whether a worker's row is of this version, and not of another one of its name and number."""
    same = (graph.model, graph.version) == (manifest.name, manifest.version)
    return same and graph.digest in ("", manifest.digest)


class _Metrics(Collector):
    """The system's metrics, read from Redis at each scrape: the same from every API process."""

    def collect(self) -> Iterable[Metric]:
        """Read the numbers."""
        client = services().client
        totals = {k.decode(): int(v) for k, v in client.hgetall(key("totals")).items()}
        jobs = CounterMetricFamily(
            "permafrost_jobs", "Jobs by kind and what became of them.", labels=["kind", "event"]
        )
        webhooks = CounterMetricFamily(
            "permafrost_webhooks", "Webhooks by what became of them.", labels=["event"]
        )
        for name, count in sorted(totals.items()):
            kind, event = name.split(":")
            if kind == "webhook":
                webhooks.add_metric([event], count)
            else:
                jobs.add_metric([kind, event], count)
        yield jobs
        yield webhooks
        pending = GaugeMetricFamily(
            "permafrost_webhooks_now", "Webhooks that wait for an attempt or are being sent."
        )
        pending.add_metric([], Deliveries(client, services().settings).waiting())
        yield pending
        waiting = GaugeMetricFamily(
            "permafrost_jobs_now", "Jobs by kind that wait or run.", labels=["kind", "status"]
        )
        for kind in Kind:
            for status in (Status.QUEUED, Status.RUNNING):
                waiting.add_metric([kind, status], client.zcard(key("index", kind, status)))
        yield waiting
        found = backlogs(client)
        depth = GaugeMetricFamily(
            "permafrost_queue_depth",
            "Jobs that wait for a worker by lane; of bulk, batches of which images wait.",
            labels=["lane"],
        )
        age = GaugeMetricFamily(
            "permafrost_queue_age_seconds", "How long the oldest has waited.", labels=["lane"]
        )
        for lane, backlog in found.items():
            depth.add_metric([lane], backlog.depth)
            age.add_metric([lane], backlog.age_s)
        yield depth
        yield age
        workers = services().roster.read()
        processes = GaugeMetricFamily(
            "permafrost_workers", "Worker processes by state.", labels=["state"]
        )
        states = [row.state for row in workers]
        for state in WORKER_STATES:
            processes.add_metric([state], states.count(state))
        yield processes
        memory = GaugeMetricFamily(
            "permafrost_worker_memory_bytes", "Resident memory of all worker processes."
        )
        memory.add_metric([], sum(row.memory_bytes for row in workers))
        yield memory
        store = client.info("memory")
        used = GaugeMetricFamily("permafrost_store_memory_bytes", "Memory that Redis uses.")
        used.add_metric([], store["used_memory"])
        yield used


@blueprint.get("/metrics")
def metrics() -> Response:
    """Return the numbers in Prometheus's text format."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics())
    return Response(generate_latest(registry), mimetype=CONTENT_TYPE_LATEST)

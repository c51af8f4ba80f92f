"""Health, readiness, metrics and the document itself: what monitoring asks."""

from typing import Final

from api.described.operation import (
    ALWAYS,
    JSON,
    STORED,
    DescribedAnswer,
    DescribedOperation,
    json_answer,
)
from worker.contract.health import Health, Readiness

_READY: Final = Readiness(status="ready", reasons=[], workers=2, models={"cats-dogs": "ready"})
_UNREADY: Final = Readiness(
    status="unready", reasons=["No inference worker is ready."], workers=0, models={}
)

OPERATIONS: Final = (
    DescribedOperation(
        method="get",
        path="/healthz",
        id="check_health",
        view="health.healthz",
        tag="operations",
        summary="Say that this process answers.",
        about="It asks nothing of Redis or the workers.",
        answers=(json_answer(Health, Health(status="ok"), "It answers"),),
        errors=ALWAYS,
    ),
    DescribedOperation(
        method="get",
        path="/readyz",
        id="check_readiness",
        view="health.readyz",
        tag="operations",
        summary="Say whether predictions can be made now.",
        about="Redis answers, a worker is ready and holds a model. One model that fails while "
        "others are served does not make the whole system unready. Where keys are needed, only "
        "callers whose key may read see models and workers.",
        answers=(
            json_answer(Readiness, _READY, "They can"),
            json_answer(Readiness, _UNREADY, "They cannot, and why", status=503),
        ),
        errors=ALWAYS,
    ),
    DescribedOperation(
        method="get",
        path="/metrics",
        id="read_metrics",
        view="health.metrics",
        tag="operations",
        summary="Read the system's numbers in Prometheus's text format.",
        answers=(
            DescribedAnswer(
                about="The numbers",
                content={"text/plain": {"type": "string"}},
                example='permafrost_jobs_total{kind="prediction",event="succeeded"} 200.0\n',
            ),
        ),
        errors=STORED,
    ),
    DescribedOperation(
        method="get",
        path="/openapi.json",
        id="read_description",
        view="openapi.spec",
        tag="operations",
        summary="Read this document.",
        answers=(
            DescribedAnswer(
                about="It", content={JSON: {"type": "object"}}, example={"openapi": "3.1.0"}
            ),
        ),
        errors=ALWAYS,
    ),
)

"""Plain Celery: one task per image with a result backend, behind the thinnest web application.

    celery --app tests.bench.peers.celery_app worker --concurrency WORKERS --prefetch-multiplier 1
    gunicorn tests.bench.peers.celery_app:web --workers 2 --worker-class gthread --threads 32

`PEER_REDIS` is the broker and the result backend. The upload travels in the message, which is why
the serializer is pickle: JSON would need base64. `POST /predict` waits for the result; `POST /jobs`
answers at once, and `GET /jobs/ID` tells the state and the result.
"""

import json
import os
from typing import Any

from celery import Celery
from celery.result import AsyncResult
from celery.signals import worker_process_init
from werkzeug.wrappers import Request, Response

from tests.bench.peers.model import Model

STATES = {"SUCCESS": "succeeded", "FAILURE": "failed", "STARTED": "running"}

app = Celery("peer", broker=os.environ["PEER_REDIS"], backend=os.environ["PEER_REDIS"])
app.conf.update(
    task_serializer="pickle",
    accept_content=["pickle", "json"],
    result_serializer="json",
    result_expires=3600,
    broker_connection_retry_on_startup=True,
)
models: list[Model] = []  # of this process


@worker_process_init.connect
def load(**_: Any) -> None:
    models.append(Model())


@app.task
def classify(data: bytes) -> dict[str, Any]:
    return models[0].classify(data)


@Request.application
def web(request: Request) -> Response:
    if request.method == "POST":
        task = classify.delay(request.files["image"].read())
        if request.path == "/predict":
            return answer(task.get(timeout=60))
        where = {"Location": f"/jobs/{task.id}"}
        return answer({"id": task.id, "status": "queued"}, 202, where)
    if request.path == "/health":
        return answer({"status": "ok"})
    name = request.path.removeprefix("/jobs/")
    found: AsyncResult[Any] = AsyncResult(name, app=app)
    status = STATES.get(found.state, "queued")
    result = found.result if status == "succeeded" else None
    return answer({"id": name, "status": status, "result": result})


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(json.dumps(body), status, headers, content_type="application/json")

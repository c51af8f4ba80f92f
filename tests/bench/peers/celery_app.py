"""Plain Celery: one task per image with a result backend, behind a Flask app that waits for it.

    celery --app tests.bench.peers.celery_app worker --concurrency WORKERS --prefetch-multiplier 1
    gunicorn tests.bench.peers.celery_app:web --workers 2 --worker-class gthread --threads 32

`PEER_REDIS` is the broker and the result backend. The upload travels in the message, which is why
the serializer is pickle: JSON would need base64.
"""

import os
from typing import Any

from celery import Celery
from celery.signals import worker_process_init
from flask import Flask, Response, jsonify, request

from tests.bench.peers.model import Model

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


web = Flask(__name__)


@web.get("/health")
def health() -> Response:
    return jsonify(status="ok")


@web.post("/predict")
def predict() -> Response:
    result = classify.delay(request.files["image"].read())
    return jsonify(result.get(timeout=60))

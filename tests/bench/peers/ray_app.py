"""Ray Serve with dynamic batching, and its asynchronous inference: tasks of Celery on Redis.

    python -m tests.bench.peers.ray_app PORT WORKERS

See its pages "Dynamic Request Batching", "Performance Tuning" and "Asynchronous Inference". A
`POST /predict` waits for its result; `POST /jobs` makes a task, whose state `GET /jobs/ID` tells.
`PEER_REDIS` is the tasks' broker and result backend.
"""

import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

import ray
from ray import serve
from ray.serve.schema import CeleryAdapterConfig, TaskProcessorConfig
from ray.serve.task_consumer import instantiate_adapter_from_config, task_consumer, task_handler
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.bench.peers.model import Model

SIZE = int(os.environ.get("PEER_BATCH", "16"))
TIMEOUT_S = float(os.environ.get("PEER_BATCH_S", "0.005"))
REDIS = os.environ["PEER_REDIS"]
TASK = "classify"
STATES = {"SUCCESS": "succeeded", "FAILURE": "failed", "STARTED": "running"}
CONFIG = TaskProcessorConfig(
    queue_name="images",
    adapter_config=CeleryAdapterConfig(
        broker_url=REDIS,
        backend_url=REDIS,
        # The upload travels in the message: JSON would need base64.
        app_custom_config={
            "task_serializer": "pickle",
            "accept_content": ["pickle", "json"],
            "worker_prefetch_multiplier": 1,
        },
    ),
)


@serve.deployment(max_ongoing_requests=64)
class Classifier:
    def __init__(self) -> None:
        self.model = Model()

    @serve.batch(max_batch_size=SIZE, batch_wait_timeout_s=TIMEOUT_S)
    async def classify(self, images: list[bytes]) -> list[dict[str, Any]]:
        scores = self.model.run([self.model.prepare(image) for image in images])
        return [self.model.answer(one) for one in scores]

    async def __call__(self, request: Request) -> Response:
        if request.method == "GET":
            return JSONResponse({"status": "ok"})
        return JSONResponse(await self.classify(await uploaded(request)))


@serve.deployment(max_ongoing_requests=4)
@task_consumer(task_processor_config=CONFIG)
class Tasks:
    def __init__(self) -> None:
        self.model = Model()

    @task_handler(name=TASK)
    def classify(self, data: bytes) -> dict[str, Any]:
        return self.model.classify(data)


@serve.deployment(max_ongoing_requests=64)
class Jobs:
    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer  # deployed with this one
        self._adapter: Any = instantiate_adapter_from_config(CONFIG)

    async def __call__(self, request: Request) -> Response:
        if request.method == "POST":
            task = self._adapter.enqueue_task_sync(TASK, args=[await uploaded(request)])
            where = {"Location": f"/jobs/{task.id}"}
            return JSONResponse({"id": task.id, "status": "queued"}, 202, where)
        name = request.url.path.rpartition("/")[2]
        task = self._adapter.get_task_status_sync(name)
        status = STATES.get(task.status, "queued")
        result = task.result if status == "succeeded" else None
        return JSONResponse({"id": name, "status": status, "result": result})


async def uploaded(request: Request) -> bytes:
    form: Mapping[str, Any] = await request.form()
    data: bytes = await form["image"].read()
    return data


def main(port: int, workers: int) -> None:
    ray.init("local", num_cpus=3 * workers, include_dashboard=False, log_to_driver=False)
    options = {"host": "127.0.0.1", "port": port}
    serve.start(http_options=options, logging_config={"enable_access_log": False})
    classifier: Any = Classifier
    consumer: Any = Tasks
    front: Any = Jobs
    waiting = classifier.options(num_replicas=workers).bind()
    polled = front.bind(consumer.options(num_replicas=workers).bind())
    serve.run(waiting, name="waiting", route_prefix="/predict")
    serve.run(polled, name="polled", route_prefix="/jobs")
    signal.pause()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))

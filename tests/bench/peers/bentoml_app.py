"""BentoML with adaptive batching.

    bentoml serve tests.bench.peers.bentoml_app:Classifier --port PORT

See its page "Adaptive batching".
"""

import os
from pathlib import Path
from typing import Any

import bentoml

from tests.bench.peers.model import Model

WORKERS = int(os.environ.get("PEER_WORKERS", "2"))
SIZE = int(os.environ.get("PEER_BATCH", "32"))
LATENCY_MS = int(os.environ.get("PEER_LATENCY_MS", "1000"))


@bentoml.service(
    workers=WORKERS,
    traffic={"timeout": 60},
    logging={"access": {"enabled": False}},
    metrics={"enabled": False},
)
class Classifier:
    def __init__(self) -> None:
        self.model = Model()

    @bentoml.api(batchable=True, max_batch_size=SIZE, max_latency_ms=LATENCY_MS)
    def predict(self, image: list[Path]) -> list[dict[str, Any]]:
        inputs = [self.model.prepare(one.read_bytes()) for one in image]
        return [self.model.answer(scores) for scores in self.model.run(inputs)]

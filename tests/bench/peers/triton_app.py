"""NVIDIA Triton by PyTriton: dynamic batching before Python functions that run the graph.

    python -m tests.bench.peers.triton_app PORT GRPC_PORT METRICS_PORT WORKERS

See its pages "Binding configuration" and "Model instances". It speaks Triton's own protocol only:
an encoded image is a tensor of bytes, and so is the answer, as JSON.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.triton import Triton, TritonConfig

from tests.bench.peers.model import Model

SIZE = int(os.environ.get("PEER_BATCH", "16"))
DELAY_US = int(os.environ.get("PEER_DELAY_US", "0"))


def instance() -> Callable[..., Any]:
    model = Model()

    @batch
    def infer(image: Any) -> dict[str, Any]:
        scores = model.run([model.prepare(data) for data in image[:, 0]])
        answers = [[json.dumps(model.answer(one)).encode()] for one in scores]
        return {"answer": np.array(answers, dtype=np.bytes_)}

    called: Callable[..., Any] = infer
    return called


def main(port: int, grpc_port: int, metrics_port: int, workers: int) -> None:
    config = TritonConfig(
        http_address="127.0.0.1",
        http_port=port,
        grpc_address="127.0.0.1",
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        allow_metrics=False,
        log_verbose=0,
    )
    with Triton(config=config) as triton:
        triton.bind(
            model_name="bench",
            infer_func=[instance() for _ in range(workers)],
            inputs=[Tensor(name="image", dtype=bytes, shape=(1,))],
            outputs=[Tensor(name="answer", dtype=bytes, shape=(1,))],
            config=ModelConfig(
                max_batch_size=SIZE,
                batcher=DynamicBatcher(max_queue_delay_microseconds=DELAY_US),
            ),
        )
        triton.serve()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

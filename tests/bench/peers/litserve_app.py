"""LitServe: its own API process, and workers that batch what waits.

    python -m tests.bench.peers.litserve_app PORT WORKERS BATCH TIMEOUT

See its pages "Batching" and "Speed up serving". `decode_request` hands over the bytes, so that
decoding takes place in the workers, as it does in `batch`; the API process is the bottleneck.
"""

import os
import sys
from typing import Any

import litserve
from fastapi import Request

from tests.bench.peers.model import Array, Model


class Api(litserve.LitAPI):
    """What is the same with batching and without."""

    def setup(self, device: str) -> None:  # noqa: ARG002 - there is only the processor
        self.model = Model()

    def decode_request(self, request: Request) -> bytes:
        # LitServe gives the form of a request that is declared so.
        data: bytes = request["image"].file.read()
        return data

    def encode_response(self, output: Array) -> dict[str, Any]:
        return self.model.answer(output)


class Batching(Api):
    """Uploads that wait are decoded and run together."""

    def batch(self, inputs: list[bytes]) -> list[Array]:
        return [self.model.prepare(data) for data in inputs]

    def predict(self, x: list[Array]) -> Array:
        return self.model.run(x)

    def unbatch(self, output: Array) -> list[Array]:
        return list(output)


class Single(Api):
    """Each upload by itself."""

    def predict(self, x: bytes) -> Array:
        scores: Array = self.model.run([self.model.prepare(x)])[0]
        return scores


def main(port: int, workers: int, size: int, timeout_s: float) -> None:
    batching = {"max_batch_size": size, "batch_timeout": timeout_s}
    api = Batching(**batching) if size > 1 else Single()
    server = litserve.LitServer(
        api,
        accelerator="cpu",
        workers_per_device=workers,
        timeout=60,
        fast_queue=os.environ.get("PEER_FAST_QUEUE") == "1",
    )
    server.run(
        host="127.0.0.1",
        port=port,
        num_api_servers=int(os.environ.get("PEER_API_SERVERS", "1")),
        log_level="error",
        generate_client_file=False,
    )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))

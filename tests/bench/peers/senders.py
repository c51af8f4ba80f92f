"""HTTP clients that people use, each sending photographs to one address, one after the other.

    python -m tests.bench.peers.senders CLIENT < ORDER.json

ORDER: `url`, `photographs` (paths), `fields` (of the form, beside `image`), `headers`, and `read`,
where the job is to be read after each submission: the query of that request.
"""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

Order = dict[str, Any]


def with_requests(order: Order) -> None:
    import requests

    with requests.Session() as session:
        for path in map(Path, order["photographs"]):
            with path.open("rb") as file:
                answer = session.post(
                    order["url"],
                    files={"image": file},
                    data=order["fields"],
                    headers=order["headers"],
                )
            if order.get("read") is not None:
                where = urljoin(order["url"], answer.headers["Location"])
                session.get(where, params=order["read"], headers=order["headers"])


def with_requests_raw(order: Order) -> None:
    import requests

    with requests.Session() as session:
        for path in map(Path, order["photographs"]):
            headers = {"Content-Type": "image/jpeg", **order["headers"]}
            session.post(
                order["url"], data=path.read_bytes(), params=order["fields"], headers=headers
            )


def with_httpx(order: Order) -> None:
    import httpx

    with httpx.Client() as client:
        for path in map(Path, order["photographs"]):
            with path.open("rb") as file:
                client.post(
                    order["url"],
                    files={"image": file},
                    data=order["fields"],
                    headers=order["headers"],
                )


def with_aiohttp(order: Order) -> None:
    asyncio.run(_with_aiohttp(order))


async def _with_aiohttp(order: Order) -> None:
    import aiohttp

    async with aiohttp.ClientSession() as session:
        for path in map(Path, order["photographs"]):
            form = aiohttp.FormData()
            for name, value in order["fields"].items():
                form.add_field(name, value, content_type="text/plain")
            with path.open("rb") as file:
                form.add_field("image", file, filename=path.name, content_type="image/jpeg")
                async with session.post(
                    order["url"], data=form, headers=order["headers"]
                ) as answer:
                    await answer.read()


def with_triton(order: Order) -> None:
    """Send each photograph as Triton's own client does: its protocol, with binary tensors."""
    import numpy as np
    from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput

    with InferenceServerClient(order["address"]) as client:
        for path in map(Path, order["photographs"]):
            tensor = InferInput("image", [1, 1], "BYTES")
            tensor.set_data_from_numpy(np.array([[path.read_bytes()]], dtype=np.object_))
            client.infer(
                order["model"],
                [tensor],
                outputs=[InferRequestedOutput("answer", binary_data=True)],
            )


CLIENTS: dict[str, Callable[[Order], None]] = {
    "requests": with_requests,
    "requests-raw": with_requests_raw,
    "httpx": with_httpx,
    "aiohttp": with_aiohttp,
    "triton": with_triton,
}

if __name__ == "__main__":
    CLIENTS[sys.argv[1]](json.load(sys.stdin))

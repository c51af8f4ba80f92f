"""The shapes of a request: what real clients and what stands between send, and how they wait."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tests.bench.recorder import Recorder
from tests.bench.senders import CLIENTS, missing
from tests.support.system import ROOT

Reading = Literal["wait", "poll"]  # of a job that was submitted: one `GET ?wait=`, or many GETs

# How Permafrost is set up: as it comes, behind proxies that it trusts, with a key required of
# everybody, with its Redis over TLS.
Setup = Literal["plain", "proxies", "keys", "tls"]

POLL_S = 0.05
WAIT = {"Prefer": "wait=30"}
_RECORDING_S = 120


@dataclass(frozen=True, kw_only=True, eq=False)
class Shape:
    """One way to ask for an image to be classified. `{key}` and `{host}` in headers are filled in.

    `like`: the shape that peers are sent instead, where this one is the same for them or is none
    that they take.
    """

    key: str
    title: str
    client: str  # of `tests.bench.senders` or `tests.bench.peers.senders`
    headers: Mapping[str, str] = field(default_factory=lambda: WAIT)
    query: str = ""
    reading: Reading | None = None
    system: Setup = "plain"
    like: str | None = None
    installed: str = "peers"  # the environment that its client is in, unless that is ours

    @property
    def waits(self) -> bool:
        """Whether the server holds an answer until the image is classified."""
        return self.reading != "poll"


# As a reverse proxy and a load balancer in a row add them.
_PROXIED = {
    "X-Forwarded-For": "203.0.113.7, 198.51.100.20",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "{host}",
    "X-Real-IP": "203.0.113.7",
    "Via": "1.1 balancer",
}
_TRACED = {
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    "tracestate": "vendor=00f067aa0ba902b7",
}
_KEY = {"Idempotency-Key": "00000000-0000-4000-8000-000000000000"}  # each request gets another

SHAPES = (
    Shape(key="requests", title="form, `requests`", client="requests"),
    Shape(key="curl", title="form, curl", client="curl"),
    Shape(key="httpx", title="form, httpx", client="httpx"),
    Shape(key="aiohttp", title="form, aiohttp (each field typed)", client="aiohttp"),
    Shape(key="browser", title="form, `fetch` in a browser", client="chromium"),
    Shape(key="raw", title="the image as body", client="requests-raw", like="requests"),
    Shape(key="own", title="Permafrost's own client", client="permafrost", like="requests"),
    Shape(key="query", title="form, `?wait=`", client="requests", headers={}, query="wait=30"),
    Shape(
        key="idempotent",
        title="form, `Idempotency-Key`",
        client="requests",
        headers={**WAIT, **_KEY},
    ),
    Shape(
        key="proxied",
        title="form, `X-Forwarded-*`, trusted",
        client="requests",
        headers={**WAIT, **_PROXIED},
        system="proxies",
    ),
    Shape(
        key="traced", title="form, `traceparent`", client="requests", headers={**WAIT, **_TRACED}
    ),
    Shape(
        key="keyed",
        title="form, `Authorization`, a key required",
        client="requests",
        headers={**WAIT, "Authorization": "Bearer {key}"},
        system="keys",
    ),
    Shape(
        key="tls",
        title="form, `rediss://`",
        client="requests",
        system="tls",
        like="requests",
    ),
    Shape(
        key="wait",
        title="submit, then `GET ?wait=`",
        client="requests",
        headers={},
        reading="wait",
        like="requests",
    ),
    Shape(
        key="poll",
        title=f"submit, then poll every {POLL_S * 1000:.0f} ms",
        client="requests",
        headers={},
        reading="poll",
    ),
)
# What peers with a protocol of their own are sent, by Triton's client.
TRITON = Shape(
    key="triton", title="Triton's protocol", client="triton", headers={}, installed="triton"
)
BY_KEY = {shape.key: shape for shape in SHAPES}


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """The requests of one shape, a file for each photograph, as a client sent them."""

    requests: Sequence[Path]
    reading: Path | None  # the request that reads a job, where there is one
    host: str  # that they were sent to


class NotRecordedError(Exception):
    """A client cannot be run here; the message says why."""


def record(
    shape: Shape, photographs: Sequence[Path], folder: Path, python: Path, model: str, key: str = ""
) -> Recorded:
    """Have a shape's client send all photographs to a server that keeps what it gets.

    `python` has the libraries of `tests.bench.peers.senders`. Raises `NotRecordedError`.
    """
    lacking = missing(shape.client)
    if lacking:
        raise NotRecordedError(lacking)
    module, program = "tests.bench.senders", sys.executable
    if shape.client not in CLIENTS:
        module, program = "tests.bench.peers.senders", str(python)
    with Recorder([path.read_bytes() for path in photographs]) as recorder:
        host = f"127.0.0.1:{recorder.port}"
        query = f"?{shape.query}" if shape.query else ""
        order = {
            "url": f"http://{host}/v1/predictions{query}",
            "address": host,
            "model": model,
            "photographs": [str(path) for path in photographs],
            "fields": {"model": model},
            "headers": {
                name: value.format(key=key, host=host) for name, value in shape.headers.items()
            },
            "read": {"wait": {"wait": "30"}, "poll": {}, None: None}[shape.reading],
        }
        done = subprocess.run(
            [program, "-m", module, shape.client],
            cwd=ROOT,
            input=json.dumps(order),
            text=True,
            check=False,
            stderr=subprocess.PIPE,
            timeout=_RECORDING_S,
        )
        kept = recorder.taken()
    if done.returncode:
        raise NotRecordedError(done.stderr.strip().rpartition("\n")[2])
    sent = [request for request in kept if request.startswith(b"POST ")]
    read = [request for request in kept if request.startswith(b"GET ")]
    if len(sent) != len(photographs) or bool(read) != (shape.reading is not None):
        raise NotRecordedError(
            f"{len(sent)} submissions and {len(read)} readings of {len(photographs)} photographs"
        )
    folder.mkdir(parents=True)
    files = [folder / f"{number:04}" for number in range(len(sent))]
    for file, request in zip(files, sent, strict=True):
        file.write_bytes(request)
    if read:
        (folder / "reading").write_bytes(read[-1])
    return Recorded(requests=files, reading=folder / "reading" if read else None, host=host)

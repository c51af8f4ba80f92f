"""The API in this process, on a real Redis and without workers."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from api import create_app
from tests.support.conformity import CheckedClient
from worker.models.manifest import Manifest, ManifestDraft, Tensor
from worker.models.preprocessing import Preprocessing
from worker.models.registry import Registry
from worker.settings import Settings

GRAPH = b"a frozen graph" * 100


@contextmanager
def web_client(settings: Settings) -> Iterator[FlaskClient]:
    """Give a client of the application that these settings make.

    Each answer that it gets must be what the OpenAPI document says.
    """
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    app = create_app(settings)
    app.test_client_class = CheckedClient
    try:
        yield app.test_client()
    finally:
        app.extensions["services"].close()
        root.handlers[:] = handlers
        root.setLevel(level)


def photograph(kind: str = "PNG", size: tuple[int, int] = (8, 8), color: str = "teal") -> bytes:
    """Return the bytes of a small image of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, kind)
    return buffer.getvalue()


def publish(
    settings: Settings, name: str = "cats-dogs", graph: bytes = GRAPH, **fields: Any
) -> Manifest:
    """Publish a model of which nothing but its manifest is real; `fields` change that."""
    path = settings.data / "graph.pb"
    path.parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_bytes(graph)
    draft = ManifestDraft(
        name=name,
        inputs=[Tensor(name="x:0", shape=[None, 8, 8, 3], dtype="float32")],
        outputs=[Tensor(name="y:0", shape=[None, 2], dtype="float32")],
        labels=["cat", "dog"],
        preprocessing=Preprocessing(size=(8, 8)),
        report={"nodes_after": 3},
    ).model_copy(update=fields)
    return Registry(settings.models_folder).publish(draft, path)


def assert_problem(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    """Check that an error is what RFC 9457 and the contract say, and return it."""
    assert response.status_code == status, response.text
    assert response.mimetype == "application/problem+json"
    body: dict[str, Any] = response.get_json(force=True)
    assert set(body) == {"type", "title", "status", "detail", "code"}
    assert (body["status"], body["code"]) == (status, code)
    assert body["detail"].endswith((".", "?"))
    assert "Traceback" not in body["detail"]
    return body

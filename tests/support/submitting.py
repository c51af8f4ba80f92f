"""Submitting over HTTP as a client does, with nothing of the project's own client."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from tests.support.polling import wait_until

ENDED = {"succeeded", "failed", "cancelled"}


def freeze_upload(url: str, files: Sequence[Path], **options: Any) -> dict[str, Any]:
    """Freeze uploaded files and return the ended job."""
    with ExitStack() as stack:
        parts = [("files", (path.name, stack.enter_context(path.open("rb")))) for path in files]
        answer = httpx.post(
            f"{url}/v1/freezes", files=parts, data={"options": json.dumps(options)}, timeout=60
        )
    assert answer.status_code == 202, answer.text
    return ended(url, answer.headers["Location"])


def inspect_upload(url: str, files: Sequence[Path]) -> dict[str, Any]:
    """Inspect uploaded files and return the ended job."""
    with ExitStack() as stack:
        parts = [("files", (path.name, stack.enter_context(path.open("rb")))) for path in files]
        answer = httpx.post(f"{url}/v1/inspections", files=parts, timeout=60)
    assert answer.status_code == 202, answer.text
    return ended(url, answer.headers["Location"])


def freeze_path(url: str, source: str, **options: Any) -> dict[str, Any]:
    """Freeze a path under the sources root and return the ended job."""
    answer = httpx.post(f"{url}/v1/freezes", json={"source": source, **options}, timeout=60)
    assert answer.status_code == 202, answer.text
    return ended(url, answer.headers["Location"])


def ended(url: str, location: str, *, within_s: float = 180) -> dict[str, Any]:
    """Poll a job until it has ended and return it."""

    def look() -> dict[str, Any] | None:
        answer = httpx.get(f"{url}{location}", params={"wait": 5}, timeout=30)
        assert answer.status_code == 200, answer.text
        job: dict[str, Any] = answer.json()
        return job if job["status"] in ENDED else None

    job = wait_until(look, within_s=within_s, what=f"{location} ends")
    assert job is not None
    return job


def predict(url: str, image: bytes, *, client: httpx.Client | None = None, **query: Any) -> Any:
    """Send one image as the body and return the ended job."""
    send = client.post if client else httpx.post
    answer = send(
        f"{url}/v1/predictions",
        params=query,
        content=image,
        headers={"Prefer": "wait=60", "Content-Type": "image/jpeg"},
        timeout=90,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()

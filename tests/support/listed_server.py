"""A server that answers from a list, and the client's answers that tests put into it."""

import email
import json
from email.message import Message
from typing import Any

import httpx

from api.cli.command_client import CommandClient
from tests.support.batch_server import ulid
from tests.support.command_line import job as made

URL = "http://permafrost.test:8000"
Answer = httpx.Response | Exception
ID = ulid("j1")
PINNED = {"name": "m", "version": 1, "sha256": "ab" * 32}


class Server:
    """Answers from a list, the last one for ever, and keeps what it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.requests: list[httpx.Request] = []
        self.bodies: list[bytes] = []
        self.slept: list[float] = []
        self.now = 0.0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self.bodies.append(request.read())
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    def client(self, **options: Any) -> CommandClient:
        return CommandClient(
            URL,
            transport=httpx.MockTransport(self),
            sleep=self.sleep,
            clock=lambda: self.now,
            **options,
        )


def answer(status: int = 200, document: object = None, **headers: str) -> httpx.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.Response(status, json=document, headers=names)


def problem(status: int, code: str, detail: str, **headers: str) -> httpx.Response:
    document = {"type": "about:blank", "title": "T", "status": status, "code": code}
    return httpx.Response(
        status,
        content=json.dumps({**document, "detail": detail}),
        headers={
            "content-type": "application/problem+json",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        },
    )


def job(status: str = "succeeded", kind: str = "prediction") -> dict[str, Any]:
    batch = {"skipped": 0, "sealed": True, "percent": 0.0, "rate": None, "remaining_s": None}
    progress = {"total": 1, "succeeded": 0, "failed": 0, **(batch if kind == "batch" else {})}
    model = None if kind in ("freeze", "inspection") else {**PINNED}
    result: Any = {"labels": {}} if kind == "batch" else None
    return made("j1", status, kind=kind, model=model, progress=progress, result=result)


QUEUED = answer(202, job("queued"))
FREEZE = answer(202, job("queued", "freeze"))
INSPECTION = answer(202, job("queued", "inspection"))


def parts(server: Server, number: int = 0) -> dict[str, list[Message]]:
    """Return the parts of a multipart request by their names."""
    kind = server.requests[number].headers["content-type"]
    form = email.message_from_bytes(
        f"Content-Type: {kind}\r\n\r\n".encode() + server.bodies[number]
    )
    found: dict[str, list[Message]] = {}
    for part in form.get_payload():
        assert isinstance(part, Message)
        name = part.get_param("name", header="content-disposition")
        found.setdefault(str(name), []).append(part)
    return found

"""Clients that submit as clients should, and remember what was accepted."""

import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from tests.support.answers import Answer, answer_for, picture

_PATIENCE_S = 120.0  # for which a client tries to have one submission accepted
_IMAGES_AT_ONCE = 20  # in one request of an uploaded batch
_LONGEST_PAUSE_S = 1.0  # that a client makes between two tries, whatever it is told


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A prediction that was answered with its job's URL."""

    number: int  # of its picture
    key: str
    at: float  # monotonic seconds, when the answer was there


class RefusedError(AssertionError):
    """A submission was answered with an error that trying again does not mend."""


class GoodClient:
    """Submits with a key for each submission, again and unchanged until it is accepted."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.accepted: dict[str, Accepted] = {}  # predictions by job
        self.batches: dict[str, Mapping[str, Answer]] = {}  # answers by path, by job
        self.cancelled: set[str] = set()  # batches that may end before all of them is done
        self.refusals: Counter[str] = Counter()  # tries that failed, by why
        self.slowest_refusal_s = 0.0  # of those that were answered
        self._lock = threading.Lock()
        self._numbers = itertools.count()

    def submit(self, client: httpx.Client | None = None) -> str:
        """Have the next picture accepted and return its job's id.

        A good client: each submission has a key of its own, and is sent again with it, unchanged,
        for as long as it is not answered or told to come again.
        """
        with self._lock:
            number = next(self._numbers)
        if client is not None:
            return self._submit(client, number)
        with self.client() as own:
            return self._submit(own, number)

    def repeat(self, job_id: str) -> str:
        """Send an accepted submission once more and return the job that it led to."""
        one = self.accepted[job_id]
        with self.client() as client:
            answer = client.post(
                "/v1/predictions",
                content=picture(one.number),
                headers={"Idempotency-Key": one.key, "Content-Type": "image/jpeg"},
            )
        assert answer.status_code in (200, 202), answer.text
        return answer.headers["Location"].rpartition("/")[2]

    def client(self) -> httpx.Client:
        """Return a client of the system."""
        return httpx.Client(base_url=self.url, timeout=30)

    def _submit(self, client: httpx.Client, number: int) -> str:
        key, image = str(uuid.uuid4()), picture(number)
        headers = {"Idempotency-Key": key, "Content-Type": "image/jpeg"}
        answer = self._insist(
            lambda: client.post("/v1/predictions", content=image, headers=headers)
        )
        job_id = answer.headers["Location"].rpartition("/")[2]
        with self._lock:
            assert job_id not in self.accepted, f"{job_id} is the job of two keys"
            self.accepted[job_id] = Accepted(number=number, key=key, at=time.monotonic())
        return job_id

    def _insist(self, send: Callable[[], httpx.Response]) -> httpx.Response:
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            pause, began = 0.1, time.monotonic()
            try:
                answer = send()
            except httpx.TransportError as error:
                reason = type(error).__name__
            else:
                if answer.status_code in (200, 202):
                    return answer
                if answer.status_code not in (429, 503):
                    raise RefusedError(f"{answer.status_code}: {answer.text}")
                reason = answer.json()["code"]
                pause = float(answer.headers["Retry-After"])
                self.slowest_refusal_s = max(self.slowest_refusal_s, time.monotonic() - began)
            with self._lock:
                self.refusals[reason] += 1
            assert time.monotonic() < deadline, f"not accepted within {_PATIENCE_S} s: {reason}"
            time.sleep(min(pause, _LONGEST_PAUSE_S))

    @contextmanager
    def clients(self, count: int = 4, *, pause_s: float = 0.01) -> Iterator[None]:
        """Let so many clients submit one picture after another meanwhile, with pauses.

        At the end each goes on until the picture that it has begun with is accepted.
        """
        over = threading.Event()
        failures: list[BaseException] = []

        def go_on() -> None:
            try:
                with self.client() as client:
                    while not over.wait(pause_s):
                        self.submit(client)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=go_on) for _ in range(count)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            over.set()
            for thread in threads:
                thread.join()
        if failures:
            raise failures[0]

    def submit_folder(self, folder: Path, answers: Mapping[str, Answer]) -> str:
        """Have a folder accepted as one batch, as `submit` does, and return its job's id."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        with self.client() as client:
            answer = self._insist(
                lambda: client.post("/v1/batches", json={"folder": folder.name}, headers=headers)
            )
        job_id = answer.headers["Location"].rpartition("/")[2]
        self.batches[job_id] = answers
        return job_id

    def open_upload(self) -> str:
        """Open a batch for images and return its job's id."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        with self.client() as client:
            opened = self._insist(
                lambda: client.post("/v1/batches", json={"open": True}, headers=headers)
            )
        job_id = opened.headers["Location"].rpartition("/")[2]
        self.batches[job_id] = {}
        return job_id

    def upload(self, job_id: str, images: int) -> None:
        """Add pictures to an open batch in several requests, and seal it."""
        answers: dict[str, Answer] = {}
        with self.client() as client:
            for start in range(0, images, _IMAGES_AT_ONCE):
                numbers = range(start, min(start + _IMAGES_AT_ONCE, images))
                files = [("images", (f"{n:07}.jpg", picture(n))) for n in numbers]
                self._insist(partial(client.post, f"/v1/batches/{job_id}/images", files=files))
                answers.update((f"{n:07}.jpg", answer_for(n)) for n in numbers)
            self.batches[job_id] = answers
            self._insist(partial(client.post, f"/v1/batches/{job_id}/seal"))

    def cancel(self, job_id: str) -> None:
        """Cancel a batch, which may have ended already."""
        self.cancelled.add(job_id)
        with self.client() as client:
            self._insist(lambda: client.delete(f"/v1/jobs/{job_id}"))

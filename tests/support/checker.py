"""The checker: outside the system, it remembers what was accepted and judges what is stored.

It submits as a good client does and speaks nothing but HTTP. What an accepted picture must end with
is known beforehand (`tests.support.answers`), so it needs nothing of the system to compare with.
"""

import itertools
import json
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.answers import Answer, answer_for, picture
from tests.support.polling import wait_until

_PATIENCE_S = 120.0  # for which a client tries to have one submission accepted
_LONGEST_PAUSE_S = 1.0  # that a client makes between two tries, whatever it is told


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A prediction that was answered with its job's URL."""

    number: int  # of its picture
    key: str
    at: float  # monotonic seconds, when the answer was there


class Checker:
    """What was accepted by one system, and whether it became what it must."""

    def __init__(self, url: str, data: Path | None = None) -> None:
        self.url = url
        self.accepted: dict[str, Accepted] = {}  # predictions by job
        self.lost: dict[str, Accepted] = {}  # those that Redis's death excuses
        self.batches: dict[str, Mapping[str, Answer]] = {}  # answers by path, by job
        self.others: set[str] = set()  # jobs that a test made and judges by itself
        self.refusals: Counter[str] = Counter()  # tries that failed, by why
        self.slowest_refusal_s = 0.0  # of those that were answered
        self._witness = data / "witness.jsonl" if data else None
        self._lock = threading.Lock()
        self._numbers = itertools.count()

    # -- submitting -----------------------------------------------------------------------------

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
                assert answer.status_code in (429, 503), f"{answer.status_code}: {answer.text}"
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

    # -- looking --------------------------------------------------------------------------------

    def job(self, job_id: str) -> dict[str, Any] | None:
        """Return a job as it is now, or None while the API does not answer."""
        with suppress(httpx.TransportError):
            answer = httpx.get(f"{self.url}/v1/jobs/{job_id}", timeout=10)
            if answer.status_code != 503:
                assert answer.status_code == 200, f"{job_id}: {answer.status_code} {answer.text}"
                job: dict[str, Any] = answer.json()
                return job
        return None

    def done(self, job_id: str) -> int:
        """Return how many images of a job have ended; 0 while the API does not answer."""
        job = self.job(job_id)
        return job["progress"]["succeeded"] + job["progress"]["failed"] if job else 0

    def reach(self, job_id: str, images: int, *, within_s: float = 120) -> None:
        """Wait until so many images of a job have ended."""
        wait_until(
            lambda: self.done(job_id) >= images,
            within_s=within_s,
            what=f"{images} images of {job_id} are done",
            every_s=0.02,
        )

    def finish(self, job_id: str, *, within_s: float) -> dict[str, Any]:
        """Return a job once it has ended."""

        def look() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job and job["finished_at"] else None

        job = wait_until(look, within_s=within_s, what=f"{job_id} ends")
        assert job is not None
        return job

    def settle(self, *, within_s: float) -> None:
        """Wait until nothing waits and nothing runs."""

        def settled() -> bool:
            with suppress(httpx.TransportError):
                pages = [
                    httpx.get(f"{self.url}/v1/jobs?status={status}&limit=1", timeout=10)
                    for status in ("queued", "running")
                ]
                return all(page.status_code == 200 and not page.json()["jobs"] for page in pages)
            return False

        wait_until(settled, within_s=within_s, what="everything that was accepted has ended")

    # -- judging --------------------------------------------------------------------------------

    def judge(self, *, within_s: float = 120, lost_after: tuple[float, ...] = ()) -> int:
        """Fail unless every accepted job has ended as it must, and nothing else is stored.

        `lost_after` are moments (monotonic) of which the second before may be lost, because Redis
        was killed then. Returns how many jobs were lost so; they are looked for no more.
        """
        self.settle(within_s=within_s)
        with self.client() as client:
            stored = _listed(client)
            predictions = dict(self.accepted)
            missing = (predictions.keys() | self.batches.keys()) - stored.keys()
            excused = {
                job_id
                for job_id in missing & predictions.keys()
                if any(end - 1 <= predictions[job_id].at <= end + 1 for end in lost_after)
            }
            assert missing == excused, f"accepted, but not stored: {sorted(missing - excused)}"
            for job_id in excused:
                self.lost[job_id] = self.accepted.pop(job_id)
            surplus = stored.keys() - predictions.keys() - self.batches.keys() - self.others
            assert not surplus, f"stored, but never accepted: {sorted(surplus)}"
            wrong = [
                f"{job_id} (picture {one.number}): {problem}"
                for job_id, one in predictions.items()
                if job_id in stored
                and (problem := _problem(stored[job_id], answer_for(one.number)))
            ]
            assert not wrong, "\n".join(wrong)
            for job_id, answers in self.batches.items():
                self._judge_batch(client, stored[job_id], answers)
            totals = _totals(client)
        # Counted when a job ends, so that one that ended twice would show.
        kinds = Counter(job["kind"] for job in stored.values())
        for kind, count in kinds.items():
            ended = sum(totals[kind, event] for event in ("succeeded", "failed", "cancelled"))
            assert (totals[kind, "accepted"], ended) == (count, count), (kind, totals)
        return len(excused)

    def _judge_batch(
        self, client: httpx.Client, job: dict[str, Any], answers: Mapping[str, Answer]
    ) -> None:
        rows = [json.loads(line) for line in client.get(job["links"]["results"]).text.splitlines()]
        paths = Counter(row["path"] for row in rows)
        assert paths == Counter(answers.keys()), "not one row for each image"
        wrong = [
            f"{row['path']}: {problem}"
            for row in rows
            if (problem := answers[row["path"]].differs(row["predictions"], row["error"]))
        ]
        assert not wrong, "\n".join(wrong[:20])
        good = sum(1 for answer in answers.values() if answer.scores)
        assert job["status"] == "succeeded"
        assert job["progress"]["total"] == len(answers)
        assert job["progress"]["succeeded"] == good
        assert job["progress"]["failed"] == len(answers) - good

    def runs(self) -> "Runs":
        """Return what the worker processes' witness saw; each run was checked against its answer.

        The witness is `tests.support.injected.witness`.
        """
        assert self._witness is not None
        return read_witness(self._witness)

    def judge_runs(self) -> "Runs":
        """Fail unless each item was run, and every run of an item had the one right outcome."""
        runs = self.runs()
        for job_id, one in self.accepted.items():
            outcomes = runs.outcomes.get(f"{job_id}:0", [])
            assert outcomes, f"{job_id} was never run"
            for outcome in outcomes:
                problem = answer_for(one.number).differs(outcome["result"], outcome["error"])
                assert not problem, f"{job_id}: {problem}"
        for job_id, answers in self.batches.items():
            numbers = runs.of(job_id)
            assert len(numbers) == len(answers), f"{len(numbers)} images of {job_id} were run"
            for number, path in enumerate(sorted(answers), 1):
                for outcome in numbers[f"{job_id}:{number}"]:
                    problem = answers[path].differs(outcome["result"], outcome["error"])
                    assert not problem, f"{path} of {job_id}: {problem}"
        return runs


@dataclass(frozen=True)
class Runs:
    """What was worked on to the end: outcomes by item, one for each time."""

    outcomes: Mapping[str, list[dict[str, Any]]]
    refused: Counter[str]  # late outcomes, by item

    def of(self, job_id: str) -> dict[str, list[dict[str, Any]]]:
        """Return the outcomes of one job, by item."""
        return {item: seen for item, seen in self.outcomes.items() if item.startswith(job_id)}

    @property
    def repeated(self) -> int:
        """How many runs there were beyond one of each item."""
        return sum(len(seen) - 1 for seen in self.outcomes.values())


def read_witness(path: Path) -> Runs:
    """Read what `tests.support.injected.witness` wrote."""
    outcomes: dict[str, list[dict[str, Any]]] = {}
    refused: Counter[str] = Counter()
    for text in path.read_text().splitlines():
        line = json.loads(text)
        refused.update(line.get("refused", ()))
        for item, outcome in line.get("ran", {}).items():
            outcomes.setdefault(item, []).append(outcome)
    return Runs(outcomes, refused)


def _problem(job: dict[str, Any], answer: Answer) -> str | None:
    status, counts = ("succeeded", (1, 1, 0)) if answer.scores else ("failed", (1, 0, 1))
    progress = job["progress"]
    if job["status"] != status:
        return f"{job['status']} instead of {status}: {job['error']}"
    if (progress["total"], progress["succeeded"], progress["failed"]) != counts:
        return f"counted as {progress}"
    return answer.differs(job["result"], job["error"])


def _listed(client: httpx.Client) -> dict[str, dict[str, Any]]:
    stored: dict[str, dict[str, Any]] = {}
    cursor = ""
    while True:
        answer = client.get("/v1/jobs", params={"limit": 200, "cursor": cursor})
        assert answer.status_code == 200, answer.text
        page = answer.json()
        stored.update((job["id"], job) for job in page["jobs"])
        if not page["next"]:
            return stored
        cursor = page["next"]


def _totals(client: httpx.Client) -> Counter[tuple[str, str]]:
    """Return the system's own counters: how often a job of a kind was accepted or ended."""
    totals: Counter[tuple[str, str]] = Counter()
    for line in client.get("/metrics").text.splitlines():
        if line.startswith("permafrost_jobs_total{"):
            labels, value = line.removeprefix("permafrost_jobs_total{").split("} ")
            names = dict(part.split("=") for part in labels.replace('"', "").split(","))
            totals[names["kind"], names["event"]] = int(float(value))
    return totals

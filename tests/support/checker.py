"""The checker: outside the system, it remembers what was accepted and judges what is stored.

It submits as a good client does and speaks nothing but HTTP. What an accepted picture must end with
is known beforehand (`tests.support.answers`), so it needs nothing of the system to compare with.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from tests.support.answers import Answer, answer_for
from tests.support.good_client import Accepted, GoodClient
from tests.support.polling import wait_until
from tests.support.runs import Runs, read_witness

_ANSWER_S = 1.0  # that an answer may be on its way to a client, whose clock stands for Redis's


class Checker(GoodClient):
    """Whether what one system accepted became what it must. `data` is needed to count runs."""

    def __init__(self, url: str, data: Path | None = None) -> None:
        super().__init__(url)
        self.lost: dict[str, Accepted] = {}  # those that Redis's death excuses
        self.others: set[str] = set()  # jobs that a test made and judges by itself
        self._witness = data / "witness.jsonl" if data else None

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

    def judge(
        self, *, within_s: float = 120, may_be_lost: Sequence[tuple[float, float]] = ()
    ) -> int:
        """Fail unless every accepted job has ended as it must, and nothing else is stored.

        `may_be_lost` are the beginnings and ends (monotonic) of times of which Redis may have lost
        what was accepted. Returns how many jobs were lost so; they are looked for no more.
        """
        self.settle(within_s=within_s)
        with self.client() as client:
            stored = _listed(client)
            predictions = dict(self.accepted)
            missing = (predictions.keys() | self.batches.keys()) - stored.keys()
            excused = {
                job_id
                for job_id in missing & predictions.keys()
                if any(
                    begin <= predictions[job_id].at <= end + _ANSWER_S for begin, end in may_be_lost
                )
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
        wrong = [
            f"{row['path']}: {problem}"
            for row in rows
            if (problem := answers[row["path"]].differs(row["predictions"], row["error"]))
        ]
        assert not wrong, "\n".join(wrong[:20])
        paths = [row["path"] for row in rows]
        assert len(set(paths)) == len(paths), "two rows for one image"
        failed = sum(1 for row in rows if row["error"])
        assert job["progress"]["succeeded"] == len(rows) - failed
        assert job["progress"]["failed"] == failed
        if job["id"] in self.cancelled and job["status"] == "cancelled":
            return
        assert set(paths) == answers.keys(), "not one row for each image"
        assert (job["status"], job["progress"]["total"]) == ("succeeded", len(answers))

    def runs(self) -> Runs:
        """Return what the worker processes' witness saw; each run was checked against its answer.

        The witness is `tests.support.injected.witness`.
        """
        assert self._witness is not None
        return read_witness(self._witness)

    def judge_runs(self) -> Runs:
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
            all_of_them = len(numbers) == len(answers) or job_id in self.cancelled
            assert all_of_them, f"{len(numbers)} images of {job_id} were run"
            for number, path in enumerate(sorted(answers), 1):
                for outcome in numbers.get(f"{job_id}:{number}", ()):
                    problem = answers[path].differs(outcome["result"], outcome["error"])
                    assert not problem, f"{path} of {job_id}: {problem}"
        return runs


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

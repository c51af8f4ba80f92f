"""What tests do with jobs: submit, claim, finish, and move stored times instead of sleeping."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import redis

from worker.jobs.claims import Claim, Claims
from worker.jobs.keys import PREFIX, key
from worker.jobs.records import Item, Job, Kind, Lane, Outcome, PinnedModel
from worker.jobs.store import JobStore
from worker.jobs.submissions import Submission
from worker.jobs.sweeper import Sweeper, Swept
from worker.settings import Settings

MODEL = PinnedModel(name="cats-dogs", version=1, sha256="ab" * 32)
OTHER_MODEL = PinnedModel(name="birds", version=7, sha256="cd" * 32)
CLASSIFYING = (Lane.INTERACTIVE, Lane.BULK)

ANSWERED = {"predictions": [{"label": "cat", "score": 0.97}]}  # the result of a prediction


def prediction(upload: bytes = b"an image", **fields: Any) -> Submission:
    """Return a prediction to accept."""
    standard: dict[str, Any] = {"lane": Lane.INTERACTIVE, "model": MODEL, "options": {"top": 5}}
    return Submission(kind=Kind.PREDICTION, upload=upload, **{**standard, **fields})


def freeze(**fields: Any) -> Submission:
    """Return a freeze to accept."""
    return Submission(kind=Kind.FREEZE, lane=Lane.FREEZING, **{"options": {"name": "m"}, **fields})


def success(claim: Claim, result: Any = ANSWERED) -> dict[Item, Outcome]:
    """Return the outcomes of a claim of which everything went well."""
    return {claimed.item: Outcome(result=result) for claimed in claim.items}


def failure(claim: Claim, code: str = "truncated") -> dict[Item, Outcome]:
    """Return the outcomes of a claim of which everything went wrong."""
    return {
        claimed.item: Outcome(error={"code": code, "message": "It is."}) for claimed in claim.items
    }


@contextmanager
def filled(client: redis.Redis) -> Iterator[None]:
    """Make Redis refuse whatever needs memory, as it does at `maxmemory` with `noeviction`."""
    client.config_set("maxmemory-policy", "noeviction")
    client.config_set("maxmemory", "1")
    try:
        yield
    finally:
        client.config_set("maxmemory", "0")


class Work:
    """A job store with some workers, on one Redis."""

    def __init__(self, client: redis.Redis, settings: Settings) -> None:
        self.client = client
        self.settings = settings
        self.store = JobStore(client, settings)
        self.tickets: list[Lane] = []  # that the sweeper sent
        self.claims = Claims(client, settings, "worker-1")
        self.other_claims = Claims(client, settings, "worker-2")
        self._sweeper = Sweeper(client, settings, "worker-1", self.tickets.extend)

    def accept(self, submission: Submission | None = None) -> str:
        """Accept a job and return its id."""
        return self.store.accept(submission or prediction()).job_id

    def claim(self, capacity: int = 16, lanes: Sequence[Lane] = CLASSIFYING) -> Claim:
        """Claim as the first worker does; there must be something."""
        claim = self.claims.claim(lanes, capacity)
        assert claim is not None, "nothing was there to be claimed"
        return claim

    def nothing_waits(self) -> bool:
        """Whether a worker would find nothing to do."""
        return self.claims.claim(list(Lane), 1) is None

    def get(self, job_id: str) -> Job:
        """Return the job."""
        return self.store.get(job_id)

    def sweep(self) -> Swept:
        """Sweep now, whenever the last sweep was."""
        self.client.delete(key("sweeper"))
        swept = self._sweeper.sweep()
        assert swept is not None
        return swept

    def sweep_in_turn(self) -> Swept | None:
        """Sweep if it is time to."""
        return self._sweeper.sweep()

    # -- moving time ------------------------------------------------------------------------

    def let_leases_run_out(self) -> None:
        """Make every claim one that its worker has not renewed in time."""
        for claim in self.client.zrange(key("leases"), 0, -1):
            self.client.zadd(key("leases"), {claim: 1})

    def let_tickets_get_lost(self) -> None:
        """Make every ticket one that has been on its way for too long."""
        for lane in Lane:
            self.client.delete(key("ticket", lane))

    def let_expire(self, job_id: str) -> None:
        """Make the time for which an ended job is kept run out."""
        assert self.client.zadd(key("expiry"), {job_id: 1}, xx=True, ch=True) == 1

    def let_wait(self, job_id: str, seconds: int) -> None:
        """Make the job one that was accepted so much earlier."""
        self.client.hincrby(key("job", job_id), "created", -seconds * 1000)

    # -- looking ----------------------------------------------------------------------------

    def key_names(self) -> set[str]:
        """Return the names of all keys, without prefix."""
        return {name.decode().removeprefix(PREFIX) for name in self.client.keys("*")}

    def lasting_keys(self) -> set[str]:
        """Return those of them that do not disappear by themselves."""
        return {name for name in self.key_names() if self.client.ttl(PREFIX + name) == -1}

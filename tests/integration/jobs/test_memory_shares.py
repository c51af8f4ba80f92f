"""What is counted for a client is what lies in Redis for it, whatever becomes of its uploads."""

import io
import random
from contextlib import suppress
from typing import BinaryIO

import pytest
import redis

from tests.support.work import MODEL, Work, failure, freeze, prediction, success
from worker.errors import ConflictError, ShareExceededError, StoreUnavailableError, TooLargeError
from worker.jobs.batches import Batches, NewImage
from worker.jobs.keys import key
from worker.jobs.records import Kind, Lane, Origin
from worker.jobs.submissions import Submission, new_job_id
from worker.jobs.uploads import drop_files, store_files
from worker.settings import Settings

ME, OTHER = "10.0.0.1", "2001:db8::/64"


@pytest.fixture
def batches(client: redis.Redis, settings: Settings) -> Batches:
    return Batches(client, settings)


def held(work: Work) -> dict[str, int]:
    return {name.decode(): int(n) for name, n in work.client.hgetall(key("held")).items()}


def lying(work: Work) -> int:
    """Return the bytes of all uploads and pieces that are there."""
    found = [
        *work.client.scan_iter(key("upload", "*", "*")),
        *work.client.scan_iter(key("chunk", "*", "*", "*")),
    ]
    return sum(work.client.strlen(name) for name in found)


def batch(client: str = ME, origin: Origin = Origin.REQUEST, keep_s: float = 60.0) -> Submission:
    return Submission(
        kind=Kind.BATCH,
        lane=Lane.BULK,
        model=MODEL,
        origin=origin,
        client=client,
        keep_upload_s=keep_s,
    )


def images(count: int, size: int = 100, first: int = 0) -> list[NewImage]:
    return [NewImage(path=b"%d.jpg" % n, upload=b"x" * size) for n in range(first, first + count)]


def files(**contents: int) -> list[tuple[str, BinaryIO]]:
    return [(name, io.BytesIO(b"x" * size)) for name, size in contents.items()]


def expire_kept(work: Work) -> None:
    """Let what is kept for a retry have been kept long enough."""
    for member in work.client.zrange(key("kept"), 0, -1):
        work.client.zadd(key("kept"), {member: 0})


# -- counting -----------------------------------------------------------------------------------


def test_a_prediction_is_counted_until_it_has_ended(work: Work) -> None:
    work.accept(prediction(b"x" * 100, client=ME))
    work.accept(prediction(b"x" * 10, client=OTHER))
    assert held(work) == {ME: 100, OTHER: 10}
    claim = work.claim()
    work.claims.complete(claim, success(claim))
    assert held(work) == {}


def test_a_photograph_that_is_kept_is_counted_until_it_is_not(work: Work) -> None:
    work.accept(prediction(b"x" * 100, client=ME, keep_upload_s=60.0))
    claim = work.claim()
    work.claims.complete(claim, success(claim))
    assert held(work) == {ME: 100}
    expire_kept(work)
    work.sweep()
    assert held(work) == {}
    assert lying(work) == 0


def test_images_of_a_batch_are_counted_one_by_one(work: Work, batches: Batches) -> None:
    job_id = work.accept(batch())
    batches.add_all(job_id, images(4), before=0)
    batches.seal(job_id)
    assert held(work) == {ME: 400}
    claim = work.claim(3)
    work.claims.complete(claim, success(claim))
    assert held(work) == {ME: 100}
    claim = work.claim()
    work.claims.complete(claim, failure(claim))
    assert (held(work), lying(work)) == ({ME: 100}, 100)  # for a retry
    batches.retry(job_id)
    expire_kept(work)
    work.sweep()
    assert (held(work), lying(work)) == ({ME: 100}, 100)
    claim = work.claim()
    work.claims.complete(claim, success(claim))
    assert (held(work), lying(work)) == ({}, 0)


def test_what_expired_by_itself_is_counted_off(work: Work, batches: Batches) -> None:
    job_id = work.accept(batch())
    batches.add_all(job_id, images(1), before=0)
    batches.seal(job_id)
    claim = work.claim()
    work.claims.complete(claim, failure(claim))
    work.client.delete(key("upload", job_id, 1))
    batches.retry(job_id)
    expire_kept(work)
    work.sweep()
    assert held(work) == {}


def test_files_of_a_model_are_counted_from_their_first_piece(
    work: Work, client: redis.Redis
) -> None:
    job_id = new_job_id()
    stored = store_files(client, job_id, files(a=100, b=50), 10**6, owner=ME)
    assert held(work) == {ME: 150}
    work.accept(freeze(job_id=job_id, files=stored, client=ME))
    assert held(work) == {ME: 150}
    work.store.cancel(job_id)
    assert (held(work), lying(work)) == ({}, 0)


# -- leaving at once ----------------------------------------------------------------------------


def test_files_of_a_refused_model_leave_at_once(work: Work, client: redis.Redis) -> None:
    job_id = new_job_id()
    store_files(client, job_id, files(a=100), 10**6, owner=ME)
    drop_files(client, job_id)
    assert work.key_names() == set()


def test_files_of_a_process_that_died_leave_soon(work: Work, client: redis.Redis) -> None:
    job_id = new_job_id()
    stored = store_files(client, job_id, files(a=100), 10**6, owner=ME)
    work.sweep()
    assert lying(work) == 100
    client.zadd(key("arriving"), {job_id: 0})
    client.delete(key("sweeper"))
    work.sweep()
    assert (held(work), lying(work)) == ({}, 0)
    # Whoever lives on after all is told to send it again.
    with pytest.raises(StoreUnavailableError, match="given up: send it again"):
        work.accept(freeze(job_id=job_id, files=stored, client=ME))


def sweep_until(work: Work, left: int) -> None:
    """Sweep until so many bytes lie in Redis: on a busy machine one turn may not delete all."""
    for _ in range(20):
        if lying(work) <= left:
            break
        work.client.delete(key("sweeper"))
        work.sweep()
    assert lying(work) == left


@pytest.mark.parametrize("end", ["break off", "cancel", "give up"])
def test_nothing_of_a_batch_that_ends_early_stays(work: Work, batches: Batches, end: str) -> None:
    job_id = work.accept(batch(keep_s=3600.0))
    for first in range(0, 2500, 500):
        batches.add_all(job_id, images(500, first=first), before=first)
    claim = work.claim(3)
    work.claims.complete(claim, failure(claim))
    claim = work.claim(2)
    other = work.claim(1)
    if end == "break off":
        batches.break_off(job_id)
    elif end == "cancel":
        work.store.cancel(job_id)
    else:
        work.client.zadd(key("open"), {job_id: 0})
        work.sweep()
    sweep_until(work, 300)  # what is in the hands of workers
    work.claims.complete(claim, success(claim))
    work.let_leases_run_out()
    work.client.delete(key("sweeper"))
    work.sweep()
    sweep_until(work, 0)
    assert other.items
    assert (held(work), lying(work)) == ({}, 0)
    assert work.client.scard(key("purge")) == 0


def test_a_batch_that_is_still_being_sent_is_not_given_up(work: Work, batches: Batches) -> None:
    job_id = work.accept(batch())
    work.client.zadd(key("open"), {job_id: 0})
    batches.keep([job_id, new_job_id()])
    work.sweep()
    assert work.get(job_id).status == "queued"
    assert work.client.zcard(key("open")) == 1


# -- the share ----------------------------------------------------------------------------------


def test_no_client_holds_more_than_its_share(work: Work, batches: Batches) -> None:
    work.accept(prediction(b"x" * 90, client=ME, client_bytes=100))
    with pytest.raises(ShareExceededError, match="one client may have"):
        work.accept(prediction(b"x" * 11, client=ME, client_bytes=100))
    work.accept(prediction(b"x" * 90, client=OTHER, client_bytes=100))
    job_id = work.accept(batch())
    assert batches.add_all(job_id, images(1, 10), before=0, client_bytes=100).added == 1
    with pytest.raises(ShareExceededError):
        batches.add_all(job_id, images(1, 1, first=1), before=1, client_bytes=100)
    with pytest.raises(ShareExceededError):
        store_files(work.client, new_job_id(), files(a=1), 10**6, owner=ME, owner_bytes=100)
    assert held(work) == {ME: 100, OTHER: 90}


def test_what_can_never_fit_is_not_told_to_come_again(work: Work) -> None:
    with pytest.raises(TooLargeError, match="the server can read instead"):
        work.accept(prediction(b"x" * 101, client=ME, client_bytes=100))
    assert held(work) == {}


# -- no drift -----------------------------------------------------------------------------------


class Chances:
    """Jobs of two clients, worked on, failed, cancelled, broken off, lost and swept at random."""

    def __init__(self, work: Work, batches: Batches, seed: int) -> None:
        self.work, self.batches = work, batches
        self.chance = random.Random(seed)
        self.jobs: list[str] = []
        self.numbers: dict[str, int] = {}  # of images of open batches

    def step(self) -> None:
        steps = (self.submit, self.add, self.add, self.work_on, self.work_on, self.end, self.sweep)
        self.chance.choice(steps)()

    def submit(self) -> None:
        client, size = self.chance.choice([ME, OTHER]), self.chance.randint(1, 300)
        what = self.chance.randrange(3)
        if what == 0:
            keep = self.chance.choice([0.0, 60.0])
            image = prediction(b"x" * size, client=client, keep_upload_s=keep)
            self.jobs.append(self.work.accept(image))
        elif what == 1:
            self.jobs.append(self.work.accept(batch(client)))
            self.numbers[self.jobs[-1]] = 0
        else:
            self.submit_model(client, size)

    def submit_model(self, client: str, size: int) -> None:
        job_id = new_job_id()
        stored = store_files(self.work.client, job_id, files(a=size), 10**6, owner=client)
        what = self.chance.randrange(3)
        if what == 0:
            accepted = self.work.accept(freeze(job_id=job_id, files=stored, client=client))
            self.jobs.append(accepted)
        elif what == 1:
            drop_files(self.work.client, job_id)

    def add(self) -> None:
        if not self.numbers:
            return
        job_id = self.chance.choice(sorted(self.numbers))
        new = images(self.chance.randint(1, 5), first=self.numbers[job_id])
        try:
            self.batches.add_all(job_id, new, before=self.numbers[job_id])
        except ConflictError:
            del self.numbers[job_id]
        else:
            self.numbers[job_id] += len(new)

    def work_on(self) -> None:
        claim = self.work.claims.claim(list(Lane), 4)
        what = self.chance.randrange(4)
        if claim is None or what == 3:
            return
        if what == 0:
            self.work.let_leases_run_out()
        else:
            self.work.claims.complete(claim, success(claim) if what == 1 else failure(claim))

    def end(self) -> None:
        if not self.jobs:
            return
        job_id = self.chance.choice(self.jobs)
        what = self.chance.randrange(5)
        if job_id in self.numbers and what < 2:
            self.batches.break_off(job_id)
        elif job_id in self.numbers and what == 2:
            self.batches.seal(job_id)
        elif job_id in self.numbers and what == 3:
            with suppress(ConflictError):
                self.batches.retry(job_id)
        else:
            self.work.store.cancel(job_id)

    def sweep(self) -> None:
        if self.chance.random() < 0.3:
            expire_kept(self.work)
        if self.chance.random() < 0.3:
            for job_id in self.work.client.zrange(key("arriving"), 0, -1):
                self.work.client.zadd(key("arriving"), {job_id: 0})
        self.work.client.delete(key("sweeper"))
        self.work.sweep()


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_the_count_is_that_of_what_lies_there(
    work: Work, batches: Batches, seed: int
) -> None:
    chances = Chances(work, batches, seed)
    for _ in range(300):
        chances.step()
        assert sum(held(work).values()) == lying(work)
    assert len(chances.jobs) > 10

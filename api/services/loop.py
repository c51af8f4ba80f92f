"""What requests share that are answered in the event loop.

`api.services.process` is the same for threads.
"""

import asyncio
import time
from collections.abc import Coroutine
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import redis
import structlog
from flask import request

from api.services.authentication import Authentication
from api.services.completions import Ending, Endings
from api.services.pipeline import Line
from api.services.process import STORE_TIMEOUT_S, Kernel
from worker.contract.image_jobs import JobBase
from worker.errors import OverloadedError
from worker.jobs.batches import label_counts
from worker.jobs.keys import key
from worker.jobs.log_lines import LogLine
from worker.jobs.presentation import job_answer
from worker.jobs.rate_limit import Rates
from worker.jobs.records import WITH_LOG, Job, Kind
from worker.jobs.store import (
    Accepted,
    Submission,
    expired_commands,
    job_read,
    log_command,
    missing,
    new_job_id,
    read_command,
    told,
)
from worker.redis.connection import connect_async

_log = structlog.get_logger(__name__)

_LISTENER_TIMEOUT_S = 10.0


class LoopKernel:
    """Accepts, reads and follows jobs. Only its event loop may call this."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.settings = kernel.settings
        self.line = Line(connect_async(self.settings, timeout_s=STORE_TIMEOUT_S))
        self.authentication = Authentication(self.line, self.settings)
        self.rates = Rates(self.line.script, self.settings)
        self.leaving = False  # the process is about to end: nobody is kept waiting
        self._endings = Endings(
            lambda: connect_async(self.settings, timeout_s=_LISTENER_TIMEOUT_S), self.line
        )
        self._places = self.settings.max_waiting
        self._background: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Let go of the connections."""
        background = list(self._background)
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await self._endings.close()
        await self.line.close()

    def leave(self) -> None:
        """Tell all who wait how their jobs stand now."""
        self.leaving = True
        self._endings.wake_all()

    def in_background(self, work: Coroutine[Any, Any, object]) -> None:
        """Do something that no answer waits for; what fails of Redis is logged only."""

        async def do() -> None:
            try:
                await work
            except redis.RedisError as error:
                _log.warning("store error", action="store_error", error=str(error))

        task = asyncio.get_running_loop().create_task(do())
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    # -- accepting ----------------------------------------------------------------------------

    async def submit(self, submission: Submission, *, wait_s: float = 0.0) -> Accepted:
        """Accept a job; raise as `Kernel.submit` does.

        With `wait_s` a new job is followed for so long, and what is returned is how it stands then,
        or stood when something was last heard of it: once it is accepted nothing here fails.
        """
        if not self.kernel.knows_room():
            self.kernel.note_memory(await self.line.run("INFO", "memory"))
        self.kernel.take_room(len(submission.upload))
        # The id is chosen here, so that a repetition over a broken connection finds the first job.
        job_id = submission.job_id or new_job_id()
        submission = replace(submission, job_id=job_id, client_bytes=self.kernel.client_bytes())
        if wait_s <= 0 or not self.take_place():
            return await self._accept(submission)
        try:
            # Watched before it exists, so that nothing has to be read to know how it stands.
            with self.watch(job_id) as ending:
                accepted = await self._accept(submission)
                if accepted.job is None:
                    return accepted
                job = await self._follow(accepted.job, ending, self._until(wait_s))
                return accepted._replace(job=job)
        finally:
            self.leave_place()

    async def _accept(self, submission: Submission) -> Accepted:
        store = self.kernel.store
        call = store.acceptance(submission)
        answer = await self.line.script(call.script, *call.arguments)
        accepted = store.accepted(submission, answer)
        if accepted.ticket_needed:
            asyncio.get_running_loop().run_in_executor(None, self.kernel.ticket, submission.lane)
        return accepted

    # -- reading ------------------------------------------------------------------------------

    async def get(self, job_id: str, *, owner: str | None = None) -> Job:
        """Return a job; raise as `JobStore.get` does."""
        job = job_read(job_id, await self.line.run(*read_command(job_id)), owner)
        if job is not None:
            return job
        commands = expired_commands(job_id, owner)
        raise missing(job_id, await asyncio.gather(*(self.line.run(*one) for one in commands)))

    async def log(self, job_id: str, start: int = 0) -> list[LogLine]:
        """Return the lines of a job's log from number `start` on."""
        return [LogLine.decode(one) for one in await self.line.run(*log_command(job_id, start))]

    async def shown(self, job: Job) -> JobBase:
        """Return a job as the contract shows it, with its log or the counts of its labels."""
        labels = log = None
        if job.kind is Kind.BATCH:
            labels = label_counts(await self.line.run("HGETALL", key("labels", job.id)))
        elif job.kind in WITH_LOG:
            log = await self.log(job.id)
        return job_answer(job, labels=labels, log=log, root=request.script_root)

    # -- waiting ------------------------------------------------------------------------------

    async def wait_for(self, job_id: str, seconds: float, *, owner: str | None = None) -> Job:
        """Return the job once it has ended, or as it is when the time is up or no place is free.

        `owner`: an API key to which there are no jobs but its own.
        """
        until = self._until(seconds)
        job = await self.get(job_id, owner=owner)
        if job.status.ended or seconds <= 0 or not self.take_place():
            return job
        try:
            with self.watch(job_id) as ending:
                return await self._follow(await self.get(job_id), ending, until)
        finally:
            self.leave_place()

    def watch(self, job_id: str) -> AbstractContextManager[Ending]:
        """Give what wakes when it is time to look at the job again."""
        return self._endings.watch(job_id)

    @property
    def waiting(self) -> int:
        """How many requests wait for jobs or follow them."""
        return self.settings.max_waiting - self._places

    def take_place(self) -> bool:
        """Take one of the places for requests that wait, or return False.

        They are bounded, so that waiting takes a bounded memory. A place must be left again.
        """
        if self._places <= 0 or self.leaving:
            return False
        self._places -= 1
        return True

    def leave_place(self) -> None:
        """Leave a place that was taken."""
        self._places += 1

    def check_place(self) -> None:
        """Take a place; raise `OverloadedError` where none is free."""
        if not self.take_place():
            raise OverloadedError("Too many requests are waiting for jobs: poll the job instead.")

    def _until(self, seconds: float) -> float:
        return time.monotonic() + min(seconds, self.settings.max_wait_s)

    async def _follow(self, job: Job, ending: Ending, until: float) -> Job:
        """Return the job once it has ended, or as it is at a time or was last heard of."""
        try:
            while not job.status.ended and not self.leaving:
                left = until - time.monotonic()
                woken = left > 0 and await ending.wait(left)
                if ending.record:
                    return told(job.id, ending.record)
                if ending.silent:
                    return job
                job = await self.get(job.id)
                if not woken:
                    return job
        except redis.RedisError as error:
            _log.warning("store error", action="store_error", error=str(error))
        return job

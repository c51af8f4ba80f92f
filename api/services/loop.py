"""What requests share that are answered in the event loop.

`api.services.process` is the same for threads.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import redis
import structlog
from flask import request

from api.services.authentication import Authentication
from api.services.completions import Completion, Completions
from api.services.memory import StoreMemory
from api.services.pipeline import CommandPipeline
from worker.contract.image_jobs import JobBase
from worker.errors import OverloadedError
from worker.jobs.batches import label_counts
from worker.jobs.commands import expired_commands, log_command, missing, read_command, read_job
from worker.jobs.keys import key
from worker.jobs.log_lines import LogLine
from worker.jobs.presentation import job_answer
from worker.jobs.rate_limit import RateLimit
from worker.jobs.records import WITH_LOG, Job, Kind, Lane
from worker.jobs.submissions import Accepted, Submission, acceptance, accepted, new_job_id
from worker.redis.connection import connect_async
from worker.settings import Settings

_log = structlog.get_logger(__name__)

_LISTENER_TIMEOUT_S = 10.0


class LoopServices:
    """Accepts, reads and follows jobs. Only its event loop may call this."""

    def __init__(
        self,
        settings: Settings,
        memory: StoreMemory,
        send_ticket: Callable[[Lane], None],
    ) -> None:
        """`send_ticket` is called in a thread, because it blocks."""
        self.settings = settings
        self.redis = CommandPipeline(connect_async(settings, timeout_s=None))
        self.authentication = Authentication(self.redis, settings)
        self.rates = RateLimit(self.redis.script, settings)
        self.stopping = False  # the process is about to end: no request waits for a job any more
        self._memory = memory
        self._send_ticket = send_ticket
        self._completions = Completions(
            lambda: connect_async(settings, timeout_s=_LISTENER_TIMEOUT_S), self.redis
        )
        self._free_slots = settings.max_waiting
        self._background: set[asyncio.Task[Any]] = set()

    async def close(self) -> None:
        """Cancel the work in the background and close the connections."""
        background = list(self._background)
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await self._completions.close()
        await self.redis.close()

    def stop_waiting(self) -> None:
        """Answer all requests that wait for a job with the job as it is now."""
        self.stopping = True
        self._completions.wake_all()

    def in_background(self, work: Coroutine[Any, Any, object]) -> None:
        """Run a coroutine that no answer waits for; an error of Redis is only logged."""

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
        """Accept a job; raise as `Services.submit` does.

        With `wait_s`, the job of the answer is as it is once it has ended or that time is up. If
        Redis fails meanwhile, it is as it was last known: an accepted job is never an error.
        """
        if not self._memory.is_fresh():
            self._memory.note(await self.redis.run("INFO", "memory"))
        self._memory.reserve(len(submission.upload))
        # The id is chosen here, so that a repetition over a broken connection finds the first job.
        job_id = submission.job_id or new_job_id()
        submission = replace(submission, job_id=job_id, client_bytes=self._memory.client_bytes())
        if wait_s <= 0 or not self.take_slot():
            return await self._accept(submission)
        try:
            # Watched before it is accepted, so that its end is never missed and need not be read.
            with self.watch(job_id) as completion:
                accepted = await self._accept(submission)
                if accepted.job is None:
                    return accepted
                job = await self._follow(accepted.job, completion, self._until(wait_s))
                return accepted._replace(job=job)
        finally:
            self.release_slot()

    async def _accept(self, submission: Submission) -> Accepted:
        answer = await self.redis.script(acceptance(submission, self.settings))
        made = accepted(submission, self.settings, answer)
        if made.ticket_needed:
            asyncio.get_running_loop().run_in_executor(None, self._send_ticket, submission.lane)
        return made

    # -- reading ------------------------------------------------------------------------------

    async def get(self, job_id: str, *, owner: str | None = None) -> Job:
        """Return a job; raise as `JobStore.get` does."""
        job = read_job(job_id, await self.redis.run(*read_command(job_id)), owner)
        if job is not None:
            return job
        commands = expired_commands(job_id, owner)
        raise missing(job_id, await asyncio.gather(*(self.redis.run(*one) for one in commands)))

    async def log(self, job_id: str, start: int = 0) -> list[LogLine]:
        """Return the lines of a job's log from number `start` on."""
        return [LogLine.decode(one) for one in await self.redis.run(*log_command(job_id, start))]

    async def present(self, job: Job) -> JobBase:
        """Return a job as the contract shows it, with its log or the counts of its labels."""
        labels = log = None
        if job.kind is Kind.BATCH:
            labels = label_counts(await self.redis.run("HGETALL", key("labels", job.id)))
        elif job.kind in WITH_LOG:
            log = await self.log(job.id)
        return job_answer(job, labels=labels, log=log, root=request.script_root)

    # -- waiting ------------------------------------------------------------------------------

    async def wait_for(self, job_id: str, seconds: float, *, owner: str | None = None) -> Job:
        """Return the job once it has ended, or as it is when the time is up or no slot is free.

        `owner`: an API key that sees only its own jobs.
        """
        until = self._until(seconds)
        job = await self.get(job_id, owner=owner)
        if job.status.ended or seconds <= 0 or not self.take_slot():
            return job
        try:
            with self.watch(job_id) as completion:
                return await self._follow(await self.get(job_id), completion, until)
        finally:
            self.release_slot()

    def watch(self, job_id: str) -> AbstractContextManager[Completion]:
        """Give what wakes the request when the job ends, or may have ended."""
        return self._completions.watch(job_id)

    @property
    def waiting(self) -> int:
        """How many requests wait for jobs or follow them."""
        return self.settings.max_waiting - self._free_slots

    def take_slot(self) -> bool:
        """Take one of the slots for requests that wait, or return False.

        Their number bounds the memory that waiting takes. A slot must be released again.
        """
        if self._free_slots <= 0 or self.stopping:
            return False
        self._free_slots -= 1
        return True

    def release_slot(self) -> None:
        """Release a slot that was taken."""
        self._free_slots += 1

    def require_slot(self) -> None:
        """Take a slot; raise `OverloadedError` where none is free."""
        if not self.take_slot():
            raise OverloadedError("Too many requests are waiting for jobs: poll the job instead.")

    def _until(self, seconds: float) -> float:
        return time.monotonic() + min(seconds, self.settings.max_wait_s)

    async def _follow(self, job: Job, completion: Completion, until: float) -> Job:
        """Return the job once it has ended or the time is up, or as last known if Redis fails."""
        try:
            while not job.status.ended and not self.stopping:
                left = until - time.monotonic()
                woken = left > 0 and await completion.wait(left)
                if completion.record:
                    return Job.from_json(job.id, completion.record)
                if completion.store_is_silent:
                    return job
                job = await self.get(job.id)
                if not woken:
                    return job
        except redis.RedisError as error:
            _log.warning("store error", action="store_error", error=str(error))
        return job

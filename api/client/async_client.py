"""The client that is awaited: what a server does, a method each."""

from typing import TYPE_CHECKING, TypeVar

from api.client import reading
from api.client.awaiting import AsyncSession, awaited, iterated
from api.client.operations import batches, many, predictions, sources
from api.client.operations import jobs as of_jobs
from api.client.operations import keys as of_keys
from api.client.operations import models as of_models

if TYPE_CHECKING:
    from worker.contract.image_jobs import JobBase

JobT = TypeVar("JobT", bound="JobBase")


class AsyncClient(AsyncSession):
    """What a server does, with answers as the contract's models; see `Client`."""

    classify = awaited(predictions.classify)
    classify_all = iterated(many.classify_all)
    predict = awaited(predictions.predict)

    open_batch = awaited(batches.open_batch)
    batch_folder = awaited(batches.batch_folder)
    add_images = awaited(batches.add_images)
    seal = awaited(batches.seal)
    retry = awaited(batches.retry)
    results = iterated(batches.results)
    results_as_they_come = iterated(batches.results_as_they_come)

    freeze = awaited(sources.freeze)
    inspect = awaited(sources.inspect)
    compare = awaited(sources.compare)

    job = awaited(of_jobs.job)
    jobs = iterated(of_jobs.jobs)
    follow = iterated(of_jobs.follow)
    log = iterated(of_jobs.log)
    cancel = awaited(of_jobs.cancel)

    models = awaited(of_models.models)
    model = awaited(of_models.model)
    version = awaited(of_models.version)
    republish = awaited(of_models.republish)
    set_alias = awaited(of_models.set_alias)
    retire = awaited(of_models.retire)
    try_again = awaited(of_models.try_again)
    workers = awaited(of_models.workers)
    ready = awaited(of_models.ready)

    own_key = awaited(of_keys.own_key)
    keys = awaited(of_keys.keys)
    create_key = awaited(of_keys.create_key)
    renew_key = awaited(of_keys.renew_key)
    revoke_key = awaited(of_keys.revoke_key)

    async def wait(self, job: JobT, *, within_s: float | None = None) -> JobT:
        """Return a job once it has succeeded; see `Client.wait`."""
        steps = of_jobs.waited(self.connection, job.id, within_s)
        return reading.succeeded(type(job), await self.run(steps))

"""The client that blocks: what a server does, a method each."""

from typing import TYPE_CHECKING, TypeVar

from api.client import reading
from api.client.blocking import BlockingSession, blocking, iterating
from api.client.operations import batches, many, predictions, sources
from api.client.operations import jobs as of_jobs
from api.client.operations import keys as of_keys
from api.client.operations import models as of_models

if TYPE_CHECKING:
    from worker.contract.image_jobs import JobBase

JobT = TypeVar("JobT", bound="JobBase")


class Client(BlockingSession):
    """What a server does, with answers as the contract's models."""

    classify = blocking(predictions.classify)
    classify_all = iterating(many.classify_all)
    predict = blocking(predictions.predict)

    open_batch = blocking(batches.open_batch)
    batch_folder = blocking(batches.batch_folder)
    add_images = blocking(batches.add_images)
    seal = blocking(batches.seal)
    retry = blocking(batches.retry)
    results = iterating(batches.results)
    results_as_they_come = iterating(batches.results_as_they_come)

    freeze = blocking(sources.freeze)
    inspect = blocking(sources.inspect)
    compare = blocking(sources.compare)

    job = blocking(of_jobs.job)
    jobs = iterating(of_jobs.jobs)
    follow = iterating(of_jobs.follow)
    log = iterating(of_jobs.log)
    cancel = blocking(of_jobs.cancel)

    models = blocking(of_models.models)
    model = blocking(of_models.model)
    version = blocking(of_models.version)
    republish = blocking(of_models.republish)
    set_alias = blocking(of_models.set_alias)
    retire = blocking(of_models.retire)
    try_again = blocking(of_models.try_again)
    workers = blocking(of_models.workers)
    ready = blocking(of_models.ready)

    own_key = blocking(of_keys.own_key)
    keys = blocking(of_keys.keys)
    create_key = blocking(of_keys.create_key)
    renew_key = blocking(of_keys.renew_key)
    revoke_key = blocking(of_keys.revoke_key)

    def wait(self, job: JobT, *, within_s: float | None = None) -> JobT:
        """Return a job once it has succeeded.

        Raises `JobError` where it failed or was cancelled, `NotEndedError` where it goes on after
        `within_s` seconds.
        """
        steps = of_jobs.waited(self.connection, job.id, within_s)
        return reading.succeeded(type(job), self.run(steps))

"""The client whose answers are the server's JSON: for what passes them on, as the commands do."""

from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, TypeVar

from api.client.blocking import Session, iterating
from api.client.operations import batches, many, predictions, sources
from api.client.operations import jobs as of_jobs
from api.client.operations import keys as of_keys
from api.client.operations import models as of_models
from api.client.steps import Operation, described

P = ParamSpec("P")
R = TypeVar("R")


def document(operation: Operation[P, R, Any]) -> Callable[Concatenate[Session, P], R]:
    """Make a method that returns an answer as it came."""

    def method(self: Session, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.run(operation.steps(self.connection, *args, **kwargs))

    return described(method, operation)


def lines(operation: Operation[P, Any, Any]) -> Callable[Concatenate[Session, P], Iterator[Any]]:
    """Make a method that gives things as they come."""
    return iterating(Operation(operation.steps, lambda item: item))


class JsonClient(Session):
    """What a server does, with answers as JSON."""

    predict = document(predictions.predict)

    open_batch = document(batches.open_batch)
    batch_folder = document(batches.batch_folder)
    add_images = document(batches.add_images)
    seal = document(batches.seal)
    retry = document(batches.retry)
    batch_paths = lines(batches.batch_paths)
    results = lines(batches.results)
    send = document(many.send)

    freeze_path = document(sources.freeze_path)
    freeze_upload = document(sources.freeze_upload)
    inspect_path = document(sources.inspect_path)
    inspect_upload = document(sources.inspect_upload)
    compare = document(sources.compare)

    job = document(of_jobs.job)
    jobs = document(of_jobs.page)
    wait_for = document(of_jobs.wait_for)
    cancel = document(of_jobs.cancel)

    models = document(of_models.models)
    model = document(of_models.model)
    version = document(of_models.version)
    republish = document(of_models.republish)
    set_alias = document(of_models.set_alias)
    retire = document(of_models.retire)
    try_again = document(of_models.try_again)
    workers = document(of_models.workers)
    ready = document(of_models.ready)

    own_key = document(of_keys.own_key)
    keys = document(of_keys.keys)
    create_key = document(of_keys.create_key)
    renew_key = document(of_keys.renew_key)
    revoke_key = document(of_keys.revoke_key)

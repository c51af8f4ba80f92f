"""The worker processes."""

from typing import Final

from api.described import examples
from api.described.operation import DescribedOperation, json_answer
from worker.contract.workers import WorkerList

OPERATIONS: Final = (
    DescribedOperation(
        method="get",
        path="/v1/workers",
        id="list_workers",
        view="workers.index",
        tag="workers",
        summary="List worker processes with the graphs that they have loaded.",
        answers=(json_answer(WorkerList, examples.WORKERS, "Those that live"),),
    ),
)

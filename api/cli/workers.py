"""`workers`: who does the work."""

from typing import TYPE_CHECKING

from api.cli.escaping import escaped
from api.cli.exit_status import reported
from api.cli.options import AsJson, Server, connect
from api.client import DEFAULT_SERVER
from worker.formatting import number, size

if TYPE_CHECKING:
    from worker.contract.workers import WorkerGraph


def workers(server: Server = DEFAULT_SERVER, as_json: AsJson = False) -> None:
    """List the worker processes and the graphs that each has loaded."""
    from api.cli.output import (  # noqa: PLC0415 - imports rich
        Column,
        console,
        message,
        table,
        write_json,
    )
    from api.client import document  # noqa: PLC0415 - imports httpx

    with reported(as_json=as_json), connect(server) as client:
        found = client.workers()
    if as_json:
        write_json({"workers": [document(worker) for worker in found]})
        return
    if all(worker.queues == ["webhooks"] for worker in found):
        message("No worker reports: jobs are accepted, but nobody works on them.")
        return
    columns = (
        Column(title="pid", justify="right"),
        Column(title="host", wide=True),
        Column(title="state"),
        Column(title="queues", wide=True),
        Column(title="graphs", wide=True),
        Column(title="memory", justify="right"),
        Column(title="items", justify="right"),
    )
    rows = [
        (
            worker.pid,
            worker.host,
            worker.state,
            ", ".join(map(escaped, worker.queues)),
            "; ".join(map(graph_text, worker.graphs)),
            size(worker.memory_bytes),
            number(worker.items),
        )
        for worker in found
    ]
    table(console(), columns, rows)


def graph_text(graph: "WorkerGraph") -> str:
    """Return a loaded graph as `cats-dogs@1 loads: 1 (0.42 s)`."""
    ending = "" if graph.state == "ready" else f" {graph.state}"
    error = f": {escaped(graph.error)}" if graph.error else ""
    loads = f"loads: {graph.loads} ({graph.load_seconds:.2f} s)"
    return f"{escaped(graph.model)}@{graph.version} {loads}{ending}{error}"

"""`workers`: who does the work."""

from typing import Any

from api.cli.options import AsJson, Server, connect
from api.cli.outcome import reported
from api.cli.text import number, printable, size
from api.client import DEFAULT_SERVER


def workers(server: Server = DEFAULT_SERVER, as_json: AsJson = False) -> None:
    """List the worker processes and the graphs that each has loaded."""
    from api.cli.output import (  # noqa: PLC0415 - imports rich
        Column,
        console,
        message,
        table,
        write_json,
    )

    with reported(as_json=as_json), connect(server) as client:
        document = client.workers()
    if as_json:
        write_json(document)
        return
    if all(worker.get("queues") == ["webhooks"] for worker in document["workers"]):
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
            worker.get("pid"),
            worker.get("host"),
            worker.get("state"),
            ", ".join(map(printable, worker.get("queues") or [])),
            "; ".join(graph_text(graph) for graph in worker.get("graphs") or []),
            size(worker.get("memory_bytes")),
            number(worker.get("items")),
        )
        for worker in document["workers"]
    ]
    table(console(), columns, rows)


def graph_text(graph: dict[str, Any]) -> str:
    """Return a loaded graph as `cats-dogs@1 loads: 1 (0.42 s)`."""
    name = f"{printable(graph.get('model'))}@{printable(graph.get('version'))}"
    seconds = graph.get("load_seconds")
    took = "" if seconds is None else f" ({seconds:.2f} s)"
    state = graph.get("state")
    ending = f" {printable(state)}" if state not in (None, "ready") else ""
    error = f": {printable(graph['error'])}" if graph.get("error") else ""
    return f"{name} loads: {graph.get('loads')}{took}{ending}{error}"

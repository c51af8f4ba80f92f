"""One job in full, as a person reads it."""

from typing import Any

from rich.console import Console

from api.cli.freeze_report import show_freeze
from api.cli.output import Column, facts, status_text, table
from api.cli.text import age, elapsed, number, printable, score


def show_job(out: Console, job: dict[str, Any]) -> None:
    """Print a job: its record, its log and its result or error."""
    error = job.get("error") or {}
    facts(
        out,
        [
            ("job", job.get("id")),
            ("kind", job.get("kind")),
            ("status", status_text(job.get("status"))),
            ("model", model_text(job)),
            ("progress", progress_text(job)),
            ("created", _time(job.get("created_at"))),
            ("started", _time(job.get("started_at"))),
            ("finished", _time(job.get("finished_at"))),
            ("took", elapsed(job) if job.get("started_at") else None),
            ("kept until", job.get("expires_at")),
            ("attempts", job.get("attempts")),
            ("error", f"{error.get('code')}: {error.get('message')}" if error else None),
        ],
    )
    log = job.get("log") or []
    if log:
        out.print("\nlog")
        for line in log:
            out.print(f"  {printable(line)}")
    if job.get("result"):
        out.print()
        show_result(out, job)


def show_result(out: Console, job: dict[str, Any]) -> None:
    """Print the result of a job that succeeded."""
    result = job.get("result")
    if job.get("kind") == "freeze" and isinstance(result, dict):
        show_freeze(out, result)
    elif isinstance(result, dict) and isinstance(result.get("predictions"), list):
        columns = (Column(title="label", wide=True), Column(title="score", justify="right"))
        found = [entry for entry in result["predictions"] if isinstance(entry, dict)]
        table(out, columns, [(entry.get("label"), score(entry.get("score"))) for entry in found])
    else:
        for line in outline(result):
            out.print(line)


def outline(value: object, depth: int = 0) -> list[str]:
    """Return any JSON value as indented lines: for results whose members the client need not know.

    A list of plain values, and an object of plain values inside a list, take one line.
    """
    indent = "  " * depth
    if isinstance(value, dict):
        lines = []
        for name, inner in value.items():
            title = f"{indent}{printable(name).replace('_', ' ')}"
            if _plain(inner):
                lines.append(f"{title}: {_line(inner)}")
            else:
                lines += [f"{title}:", *outline(inner, depth + 1)]
        return lines
    if isinstance(value, list):
        lines = []
        for inner in value:
            if isinstance(inner, dict) and all(_plain(part) for part in inner.values()):
                pairs = (f"{printable(name)} {_line(part)}" for name, part in inner.items())
                lines.append(f"{indent}- {', '.join(pairs)}")
            elif _plain(inner):
                lines.append(f"{indent}- {_line(inner)}")
            else:
                lines += outline(inner, depth + 1)
        return lines
    return [f"{indent}{_line(value)}"]


def model_text(job: dict[str, Any]) -> str | None:
    """Return the model that a job uses, or that a freeze has published, as `NAME@VERSION`."""
    model, result = job.get("model"), job.get("result")
    if isinstance(model, dict):
        name, version = model.get("name"), model.get("version")
    elif job.get("kind") == "freeze" and isinstance(result, dict):
        name, version = result.get("model"), result.get("version")
    else:
        return None
    return printable(name) + (f"@{printable(version)}" if version else "")


def progress_text(job: dict[str, Any]) -> str:
    """Return `done/total`, with the failures if there are any."""
    progress = job.get("progress") or {}
    done = (progress.get("succeeded") or 0) + (progress.get("failed") or 0)
    failed = progress.get("failed")
    ending = f", {number(failed)} failed" if failed else ""
    return f"{number(done)}/{number(progress.get('total'))}{ending}"


def _time(text: object) -> str | None:
    return f"{printable(text)} ({age(text)})" if text else None


def _plain(value: object) -> bool:
    if isinstance(value, list):
        return all(not isinstance(part, dict | list) for part in value)
    return not isinstance(value, dict)


def _line(value: object) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(_line(part) for part in value) + "]"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(value)

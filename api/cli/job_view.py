"""One job in full, as a person reads it."""

import math
from typing import Any

from rich.console import Console

from api.cli.comparison_report import show_comparison
from api.cli.freeze_report import show_freeze
from api.cli.inspection_report import show_inspection
from api.cli.output import Column, facts, status_text, table
from api.cli.results_view import show_labels
from api.cli.text import age, counted, duration, elapsed, number, printable, score


def show_job(out: Console, job: dict[str, Any], *, server: str) -> None:
    """Print a job: its record, its log and its result or error; links are of `server`."""
    error = job.get("error") or {}
    progress = job.get("progress") or {}
    running = job.get("status") in ("queued", "running")
    results = (job.get("links") or {}).get("results")
    facts(
        out,
        [
            ("job", job.get("id")),
            ("kind", job.get("kind")),
            ("status", status_text(job.get("status"))),
            ("model", model_text(job)),
            ("progress", progress_text(job)),
            ("passed over", _files(progress.get("skipped"))),
            ("rate", _rate(progress)),
            ("time left", _left(job)),
            ("more images", "may be added" if running and not progress.get("sealed", True) else ""),
            ("created", _time(job.get("created_at"))),
            ("started", _time(job.get("started_at"))),
            ("finished", _time(job.get("finished_at"))),
            ("took", elapsed(job) if job.get("started_at") else None),
            ("kept until", job.get("expires_at")),
            ("attempts", job.get("attempts")),
            ("error", f"{error.get('code')}: {error.get('message')}" if error else None),
            ("webhook", _webhook(job.get("webhook"))),
            ("results", f"{server}{results}?format=csv" if results else None),
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


def _webhook(webhook: dict[str, Any] | None) -> str | None:
    if not webhook:
        return None
    parts = [f"{webhook.get('url')} {webhook.get('state')}"]
    if webhook.get("attempts"):
        parts.append(counted(webhook["attempts"], "attempt"))
    if webhook.get("last_error"):
        parts.append(str(webhook["last_error"]).rstrip("."))
    if webhook.get("state") == "pending" and webhook.get("next_attempt_at"):
        parts.append(f"next at {webhook['next_attempt_at']}")
    return ", ".join(parts)


def show_result(out: Console, job: dict[str, Any]) -> None:
    """Print the result of a job that succeeded."""
    result = job.get("result")
    if job.get("kind") == "freeze" and isinstance(result, dict):
        show_freeze(out, result)
    elif job.get("kind") == "inspection" and isinstance(result, dict):
        show_inspection(out, result)
    elif job.get("kind") == "comparison" and isinstance(result, dict):
        show_comparison(out, result)
    elif job.get("kind") == "batch" and isinstance(result, dict):
        if result.get("labels"):
            show_labels(out, result["labels"])
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
    """Return `done/total`, the share while a batch runs, and the failures if there are any."""
    progress = job.get("progress") or {}
    done = (progress.get("succeeded") or 0) + (progress.get("failed") or 0)
    failed, percent = progress.get("failed"), progress.get("percent")
    text = f"{number(done)}/{number(progress.get('total'))}"
    if percent is not None and job.get("status") == "running":
        text += f" ({math.floor(percent)} %)"  # 100 means all
    return text + (f", {number(failed)} failed" if failed else "")


def left_text(job: dict[str, Any]) -> str | None:
    """Return how long a running batch still takes, as `20 s left`, where the server knows."""
    left = _left(job)
    return left and f"{left} left"


def _left(job: dict[str, Any]) -> str | None:
    left = (job.get("progress") or {}).get("remaining_s")
    return None if left is None or job.get("status") != "running" else duration(left)


def _rate(progress: dict[str, Any]) -> str | None:
    rate = progress.get("rate")
    return None if rate is None else f"{number(rate)} images per second"


def _files(skipped: int | None) -> str | None:
    return f"{counted(skipped, 'other file')}" if skipped else None


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

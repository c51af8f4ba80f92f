"""What a person can choose about the local system."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.errors import StartError


def usable_cores() -> int:
    """Return the number of processor cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # only Linux has it
        return os.cpu_count() or 1


@dataclass(frozen=True, kw_only=True)
class Options:
    """The choices of one `up`; each is a flag and an environment variable."""

    host: str = "127.0.0.1"
    port: int = 8000
    data: Path = field(default_factory=lambda: Path("data").absolute())
    workers: int = field(default_factory=usable_cores)  # inference processes
    web_concurrency: int = 2  # API processes
    demo: bool = True
    open: bool = False  # whether nobody needs an API key

    @property
    def url(self) -> str:
        """The address to show, as the person gave it."""
        return f"http://{bracketed(self.host)}:{self.port}"

    @property
    def local_url(self) -> str:
        """The address at which this machine itself reaches the API."""
        reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - the wildcard addresses  # nosec B104
        prefix = os.environ.get("SCRIPT_NAME", "").rstrip("/")  # which gunicorn takes
        return f"http://{bracketed(reached.get(self.host, self.host))}:{self.port}{prefix}"


def bracketed(host: str) -> str:
    """Return a host as it stands in a URL: IPv6 addresses in brackets."""
    return f"[{host}]" if ":" in host else host


def parse_host(text: str) -> str:
    """Return a host without the brackets that an IPv6 address may carry."""
    host = text.strip().removeprefix("[").removesuffix("]")
    if not host:
        raise StartError("--host is empty: give an address such as 127.0.0.1 or 0.0.0.0.")
    return host


def parse_port(text: str) -> int:
    """Return a port number; raises `StartError` if it is none."""
    return _whole_number(text, "--port (or PORT)", 1, 65535, "8000")


def parse_workers(text: str) -> int:
    """Return a number of inference processes; raises `StartError` if it is none."""
    example = str(usable_cores())
    return _whole_number(text, "--workers (or PERMAFROST_WORKERS)", 1, 1024, example)


def parse_web_concurrency(text: str) -> int:
    """Return a number of API processes; raises `StartError` if it is none."""
    return _whole_number(text, "WEB_CONCURRENCY", 1, 256, "2")


def _whole_number(text: str, name: str, least: int, most: int, example: str) -> int:
    if text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    raise StartError(
        f"{name} is {text!r}: give a whole number from {least} to {most}, such as {example}."
    )

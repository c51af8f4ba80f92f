"""Who is let in: nobody without an API key where others than this machine's users reach the API."""

import socket
from typing import Literal

import redis

from deploy.local.errors import StartError
from deploy.local.layout import Layout
from deploy.local.options import Options
from worker.credentials.key_store import KeyStore
from worker.loopback import is_loopback
from worker.redis.connection import connect
from worker.settings import Settings

Access = Literal["auto", "keys", "open"]


def access_mode(options: Options, layout: Layout, settings: Settings) -> Access:
    """Return whether the API asks for keys; raise `StartError` where nobody could enter."""
    if options.open or settings.access == "open":
        return "open"
    if settings.access == "auto" and _is_own(options):
        return "auto"
    if not _any_key(layout, settings):
        where = "PERMAFROST_ACCESS=keys asks for API keys"
        if not _is_own(options):
            where = f"Others can reach {options.host}"
        raise StartError(
            f"{where}, and no API key has been made yet: make one with `./permafrost keys create "
            f"NAME --scope admin{_data(options)}`, which shows it once, then start again; or let "
            "everybody in who reaches that address, with --open."
        )
    return "keys"


def _data(options: Options) -> str:
    return "" if options.data == Options().data else f" --data {options.data}"


def _is_own(options: Options) -> bool:
    """Whether only this machine reaches the address."""
    if is_loopback(options.host):
        return True
    try:
        found = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)
    except OSError:  # `check_free` says so
        return False
    return all(is_loopback(str(address[0])) for *_, address in found)


def _any_key(layout: Layout, settings: Settings) -> bool:
    if not settings.redis_url:
        return layout.has_keys.exists()
    try:
        with connect(settings) as client:
            return KeyStore(client).guarded()
    except (redis.RedisError, ValueError):
        return True  # keys are asked for; what is wrong with Redis is said where it is started

"""What one client may submit, and who that is."""

import ipaddress
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from flask import Flask, request
from werkzeug.middleware.proxy_fix import ProxyFix

from api.access import identity
from api.services import LoopServices
from worker.settings import Settings

_NETWORK_BITS = 64  # of IPv6: a client gets a whole network of this size


def register(app: Flask, settings: Settings) -> None:
    """Make `app` see the clients behind the proxies that it trusts."""
    if settings.trusted_proxies:
        app.wsgi_app = behind_proxies(app.wsgi_app, settings)  # type: ignore[method-assign]  # as Flask's manual does it


def behind_proxies(application: Callable[..., Any], settings: Settings) -> Callable[..., Any]:
    """Return an application behind the trusted proxies, which sees the client that they name."""
    proxies = settings.trusted_proxies
    if not proxies:
        return application
    return ProxyFix(
        application, x_for=proxies, x_proto=proxies, x_host=proxies, x_port=0, x_prefix=proxies
    )


async def spend_rate(loop_services: LoopServices) -> None:
    """Count a submission of this request's client; raise `RateLimitedError` for too many."""
    if request.method == "POST":
        grant = identity.grant()
        await loop_services.rates.spend(client(), rate=grant.rate if grant else None)


def client() -> str:
    """Return the name by which the client of this request is counted, for rates and shares."""
    key = identity.key_id()
    return f"API key {key}" if key else client_name(request.remote_addr)


@lru_cache(maxsize=1024)
def client_name(address: str | None) -> str:
    """Return the name by which a client is counted: its address, or its network with IPv6."""
    try:
        found = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:  # a unix socket has none
        return "local"
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((found, _NETWORK_BITS), strict=False))

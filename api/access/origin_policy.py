"""Which hosts a request may name, and which pages may send one that changes something.

Any page that a user opens can make the browser send requests here. If the page's own host name is
made to resolve to this server (DNS rebinding), it can even read the answers: so a request must name
a host of ours. A request that changes something must not come from a page of another origin, which
browsers say in `Origin` and `Sec-Fetch-Site` (Fetch Metadata Request Headers, W3C); other clients
send neither. These are pure functions of a request's head.
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from worker.errors import ForeignOriginError, HostNotAllowedError, InvalidRequestError
from worker.settings import Settings, listed

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FOREIGN_SITES = frozenset({"cross-site", "same-site"})  # another port of the host is `same-site`
_DEFAULT_PORTS = {"http": 80, "https": 443}

_HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9_.-]{1,253})(?::([0-9]{1,5})?)?")
_ORIGIN = re.compile(r"(https?)://(.{1,300})")
_SHOWN = 80  # characters of what a client sent


class HostPort(NamedTuple):
    """A host, and its port where that is named."""

    host: str  # in lower case, without brackets and a dot at its end
    port: int | None


@dataclass(frozen=True, kw_only=True)
class RequestHead:
    """The part of a request that the rules look at."""

    method: str
    version: tuple[int, int] = (1, 1)  # of HTTP
    hosts: Sequence[str]  # that it names: in `Host`, in its target, in a header of a trusted proxy
    scheme: str | None = None  # in a header of a trusted proxy
    origin: str | None = None
    fetch_site: str | None = None


def parse_host(text: str) -> HostPort | None:
    """Return host and port of a `Host` header, or None if it is malformed (RFC 3986, 3.2.2)."""
    found = _HOST.fullmatch(text.strip(" \t").lower())
    if not found:
        return None
    host = found[1].strip("[]").removesuffix(".")
    port = int(found[2]) if found[2] else None
    return HostPort(host, port) if host and (port is None or port < 1 << 16) else None


def is_address(host: str) -> bool:
    """Whether a host is an address. No name can be made to look like one, so each is allowed."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


class OriginPolicy:
    """The rules, with the names and origins of the settings."""

    def __init__(self, settings: Settings) -> None:
        names = listed(settings.allowed_hosts)
        self._any = "*" in names
        self._names = frozenset({"localhost", *(name.strip("[]") for name in names)})
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))
        self._origins = frozenset(
            _without_default_port(o) for o in listed(settings.allowed_origins)
        )
        self.allows = lru_cache(maxsize=1024)(self._allows)

    def check(self, head: RequestHead) -> None:
        """Raise `PermafrostError` where a request must not be served."""
        self.check_host(head)
        self.check_origin(head)

    @property
    def trusts_any(self) -> bool:
        """Whether pages of any other origin may change something and read answers."""
        return bool(self._origins)

    def trusts(self, origin: str) -> bool:
        """Whether pages of this origin may."""
        return _without_default_port(origin.strip(" \t").lower()) in self._origins

    def check_host(self, head: RequestHead) -> None:
        """Raise where a request names another host than this one, or none."""
        if not any(head.hosts):
            if head.version >= (1, 1):
                raise InvalidRequestError(
                    "The request has no Host header, which HTTP/1.1 asks for."
                )
            return
        for text in head.hosts:
            if self.allows(text):
                continue
            named = parse_host(text)
            if named is None:
                raise InvalidRequestError(f"'{text[:_SHOWN]}' is no host that a request can name.")
            raise HostNotAllowedError(
                f"This server is not known as '{named.host[:_SHOWN]}': use its address or "
                f"localhost, or, if it shall be reached under that name, start it with "
                f"PERMAFROST_ALLOWED_HOSTS={named.host[:_SHOWN]} in its environment."
            )

    def check_origin(self, head: RequestHead) -> None:
        """Raise where a page of another origin sends what changes something."""
        if head.method in _SAFE:
            return
        origin = None if head.origin is None else head.origin.strip(" \t").lower()
        if origin is not None and self.trusts(origin):
            return
        if (head.fetch_site or "").strip(" \t").lower() in _FOREIGN_SITES:
            raise _foreign(origin)
        if origin is not None and not any(_is_of(origin, text, head.scheme) for text in head.hosts):
            raise _foreign(origin)

    def _allows(self, text: str) -> bool:
        """Whether the value of a `Host` header names this server."""
        named = parse_host(text)
        if named is None:
            return False
        return (
            self._any
            or named.host in self._names
            or named.host.endswith(self._suffixes)
            or is_address(named.host)
        )


def _foreign(origin: str | None) -> ForeignOriginError:
    whose = "another site" if origin in (None, "null") else f"'{str(origin)[:_SHOWN]}'"
    return ForeignOriginError(
        f"A page of {whose} sent this request, and only this server's own pages and clients that "
        "are no browsers may change something. If that page is yours, name its origin in "
        "PERMAFROST_ALLOWED_ORIGINS; if a proxy stands between, have it hand on the Host header."
    )


def _is_of(origin: str, host: str, scheme: str | None) -> bool:
    """Whether an origin is that of a host.

    Where the `scheme` that the browser uses is unknown (TLS may end at a proxy), both match.
    """
    split, named = _ORIGIN.fullmatch(origin), parse_host(host)
    if not split or named is None or (scheme is not None and split[1] != scheme):
        return False
    own = parse_host(split[2])
    if own is None or own.host != named.host:
        return False
    usual = _DEFAULT_PORTS[split[1]]
    return (own.port or usual) == (named.port or usual)


def _without_default_port(origin: str) -> str:
    scheme = origin.partition(":")[0]
    return origin.removesuffix(f":{_DEFAULT_PORTS.get(scheme, '')}")

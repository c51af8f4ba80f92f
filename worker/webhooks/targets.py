"""The target of a webhook, parsed from its URL once, strictly.

Parsers differ about unusual URLs, which attackers use to pass a check. So unusual URLs are refused,
and the parts that were checked are those that are used.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Self

import idna

from worker.errors import WebhookError
from worker.printable import printable, shown_url
from worker.webhooks.public_addresses import Address, Network, is_public

_LONGEST_URL = 2048  # characters
_PORTS = {443, 8443}  # to the public; what the operator lists may have any

_URL = re.compile(r"(https?)://([^/?#]*)([^#]*)", re.IGNORECASE)
_BRACKETED = re.compile(r"\[([0-9A-Fa-f:.]{2,45})\](?::([0-9]{1,5}))?")
_NAMED = re.compile(r"([^:@\[\]]{1,253}\.?)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # a last label like this makes an IPv4 address
_REST = re.compile(r"[\x21-\x5b\x5d-\x7e]*")  # printable ASCII but the backslash

# Names that no public resolver answers, or that lead home (RFC 6761, RFC 6762, RFC 8375, RFC 9476
# and what is widely used without being registered).
_NOT_PUBLIC = frozenset(
    (
        *("alt", "arpa", "corp", "home", "internal", "intranet", "invalid", "lan", "local"),
        *("localdomain", "localhost", "onion", "private", "test"),
    )
)


@dataclass(frozen=True, kw_only=True)
class Target:
    """A receiver, in the parts that a connection is made of."""

    scheme: str  # https, or http
    host: str  # a name in ASCII and lower case, or an address as `ipaddress` writes it
    port: int
    path: str  # with the query; begins with a slash

    @property
    def address(self) -> Address | None:
        """The host where it is an address."""
        try:
            return ip_address(self.host)
        except ValueError:
            return None

    @property
    def authority(self) -> str:
        """Host and port as they stand in a URL and in the header `Host`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == (443 if self.scheme == "https" else 80)
        return host if usual else f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The whole address. It may hold secrets."""
        return f"{self.scheme}://{self.authority}{self.path}"

    @property
    def shown(self) -> str:
        """The address as anybody may see it: paths and queries often hold secrets."""
        return shown_url(self.url)

    @classmethod
    def parse(cls, text: str, allowed: "AllowedHosts") -> Self:
        """Read a URL; raise `WebhookError`, which says what is wrong with it.

        Everything is checked that can be without asking for the addresses of a name.
        """
        target = cls._read(text)
        if allowed.has(target.host, target.port):
            return target
        if target.scheme != "https":
            raise WebhookError(
                "webhook: give an address that begins with https://. Plain http is only for hosts "
                "that the operator lists in PERMAFROST_WEBHOOK_HOSTS."
            )
        if target.port not in _PORTS:
            raise WebhookError(
                f"webhook: port {target.port} is not one of 443 and 8443. Others are only for "
                "hosts that the operator lists in PERMAFROST_WEBHOOK_HOSTS."
            )
        if not _may_be_public(target):
            raise not_public(target.host)
        return target

    @classmethod
    def _read(cls, text: str) -> Self:
        if len(text) > _LONGEST_URL:
            raise WebhookError(f"webhook: the address has more than {_LONGEST_URL} characters.")
        found = _URL.fullmatch(text.partition("#")[0])
        if not found or not found[2]:
            raise WebhookError(
                "webhook: give a whole address such as https://example.com/hooks/permafrost."
            )
        scheme, authority, rest = found[1].lower(), found[2], found[3]
        if "@" in authority:
            raise WebhookError(
                "webhook: leave out the user name and password. Receivers know a webhook by its "
                "signature."
            )
        if not _REST.fullmatch(rest):
            raise WebhookError(
                "webhook: the path and query must be ASCII, with everything else percent-encoded."
            )
        host, port = _host_and_port(authority)
        return cls(
            scheme=scheme,
            host=host,
            port=port if port is not None else (443 if scheme == "https" else 80),
            path=rest if rest.startswith("/") else f"/{rest}",
        )


class AllowedHosts:
    """What the operator lists: hosts that may be private, have other ports and speak plain http."""

    def __init__(self, text: str) -> None:
        """Read a list with commas or spaces between; raise `ValueError` with the wrong entry."""
        self._names: set[tuple[str, int | None]] = set()
        self._networks: list[tuple[Network, int | None]] = []
        for entry in re.split(r"[,\s]+", text):
            if entry:
                self._add(entry)

    @classmethod
    @lru_cache(maxsize=8)
    def of(cls, text: str) -> "AllowedHosts":
        """Return the list of a setting."""
        return cls(text)

    def has(self, host: str, port: int) -> bool:
        """Whether a host, a name or an address, is listed itself, with any or with this port."""
        if (host, None) in self._names or (host, port) in self._names:
            return True
        parents = host.split(".")
        for n in range(1, len(parents)):
            parent = "*." + ".".join(parents[n:])
            if (parent, None) in self._names or (parent, port) in self._names:
                return True
        try:
            return self.has_address(ip_address(host), port)
        except ValueError:
            return False

    def has_address(self, address: Address, port: int) -> bool:
        """Whether an address is in a network that is listed."""
        return any(
            address.version == network.version and address in network and only in (None, port)
            for network, only in self._networks
        )

    def _add(self, entry: str) -> None:
        try:
            self._networks.append((ip_network(entry, strict=False), None))
            return
        except ValueError:
            pass
        star = "*." if entry.startswith("*.") else ""
        try:
            host, port = _host_and_port(entry.removeprefix(star))
        except WebhookError:
            raise ValueError(
                f"{entry!r} is no name, address or network: HOST, *.DOMAIN, 10.0.0.0/8, HOST:PORT"
            ) from None
        try:
            self._networks.append((ip_network(host), port))
        except ValueError:
            self._names.add((star + host, port))


def check_addresses(
    target: Target, addresses: Iterable[Address], allowed: AllowedHosts
) -> list[Address]:
    """Return the addresses of a target's host; raise `WebhookError` where one is not allowed.

    One that is private among public ones is no accident: all are refused.
    """
    found = list(dict.fromkeys(addresses))
    listed = allowed.has(target.host, target.port)
    for address in found:
        if not (listed or allowed.has_address(address, target.port) or is_public(address)):
            raise not_public(target.host)
    return found


def not_public(host: str) -> WebhookError:
    """Return the refusal of a host. It does not say which addresses it has: they may be secret."""
    return WebhookError(
        f"webhook: {host} is not a public host. Private ones have to be listed by the operator in "
        "PERMAFROST_WEBHOOK_HOSTS."
    )


def _may_be_public(target: Target) -> bool:
    address = target.address
    if address is not None:
        return is_public(address)
    labels = target.host.split(".")
    return len(labels) > 1 and labels[-1] not in _NOT_PUBLIC


def _host_and_port(authority: str) -> tuple[str, int | None]:
    """Return the host in its one spelling, and the port where it is given."""
    if found := _BRACKETED.fullmatch(authority):
        try:
            host = str(IPv6Address(found[1]))
        except ValueError:
            raise WebhookError(f"webhook: {authority} is not an IPv6 address.") from None
    elif found := _NAMED.fullmatch(authority):
        host = _name(found[1])
    else:
        raise WebhookError(f"webhook: {_readable(authority)} is not a host, or a host and a port.")
    if found[2] is None:
        return host, None
    port = int(found[2])
    if not 0 < port < 65536:
        raise WebhookError(f"webhook: {port} is not a port.")
    return host, port


def _name(text: str) -> str:
    """Return a name in ASCII and lower case without a dot behind it, or an IPv4 address."""
    wrong = WebhookError(f"webhook: {_readable(text)} is not the name of a host.")
    try:
        # What Unicode maps to digits and dots (full-width, circled) is mapped before it is judged.
        mapped = text.lower() if text.isascii() else idna.encode(text, uts46=True).decode("ascii")
    except UnicodeError:  # idna's errors are such
        raise wrong from None
    mapped = mapped.removesuffix(".")
    labels = mapped.split(".")
    if len(mapped) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise wrong
    if not _NUMBER.fullmatch(labels[-1]):
        return mapped
    try:
        return str(IPv4Address(mapped))
    except ValueError:  # short, octal, hexadecimal or too large: readers disagree on what it is
        raise WebhookError(
            f"webhook: write the address {_readable(text)} as four decimal numbers."
        ) from None


def _readable(text: str) -> str:
    return f"'{printable(text[:80])}'"

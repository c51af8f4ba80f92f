"""Which addresses are public: everything that IANA has not set aside.

A stranger chooses where a webhook goes, so addresses that only this machine or its network can
reach must be refused. An address that is not certainly public counts as not public.
"""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import psutil

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# https://www.iana.org/assignments/iana-ipv4-special-registry, whatever is not globally reachable or
# not one machine. Spelled out, because what Python's `is_global` says depends on its version.
_REFUSED_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",  # private
            "100.64.0.0/10",  # shared with a carrier's NAT; one cloud's metadata
            "127.0.0.0/8",  # loopback
            "168.63.129.16/32",  # public by number, but the host's own service in one cloud
            "169.254.0.0/16",  # link-local; the metadata of most clouds
            "172.16.0.0/12",  # private
            "192.0.0.0/24",  # protocol assignments; one cloud's metadata
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4
            "192.168.0.0/16",  # private
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
        ),
    )
)
# https://www.iana.org/assignments/iana-ipv6-special-registry: all of the public internet is in one
# block so far. Outside of it are ::1, ::ffff:0:0/96 (IPv4-mapped), 64:ff9b::/96 and
# 64:ff9b:1::/48 (NAT64), fc00::/7 (private), fe80::/10 (link-local) and ff00::/8 (multicast).
_PUBLIC_6 = IPv6Network("2000::/3")
_REFUSED_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments, Teredo among them, which carries IPv4 addresses
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4, which carries IPv4 addresses
            "3fff::/20",  # documentation
        ),
    )
)
_ISATAP = 0x5EFE  # in bits 32 to 63, less the bit that says "global": carries an IPv4 address


def is_public(address: Address) -> bool:
    """Whether an address is one of the public internet, and not one of this machine's own."""
    if isinstance(address, IPv4Address):
        refused = any(address in network for network in _REFUSED_4)
    else:
        isatap = (int(address) >> 32) & 0xFDFFFFFF == _ISATAP
        refused = (
            address not in _PUBLIC_6
            or address.scope_id is not None
            or isatap
            or any(address in network for network in _REFUSED_6)
        )
    return not refused and address not in _own_addresses()


def _own_addresses() -> set[Address]:
    """Return the addresses of this machine, which may be public and still lead to its insides."""
    return {
        ip_address(row.address.partition("%")[0])
        for rows in psutil.net_if_addrs().values()
        for row in rows
        if row.family in (socket.AF_INET, socket.AF_INET6)
    }

"""Which addresses are this machine's own."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Return whether a host, as in a URL without brackets, names the machine that asks."""
    if host.lower().removesuffix(".") == "localhost":
        return True
    try:
        found = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped:
        return found.ipv4_mapped.is_loopback
    return found.is_loopback

"""Whether the API's address is free."""

import errno
import socket

import psutil

from deploy.local.errors import StartError
from deploy.local.options import Options, bracketed


def check_free(options: Options) -> None:
    """Raise `StartError` if the API cannot listen at its host and port."""
    try:
        found = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise StartError(
            f"The host {options.host} is not known ({error.strerror}): "
            "choose an address of this machine with --host."
        ) from error
    family, kind, protocol, _, address = found[0]
    with socket.socket(family, kind, protocol) as probe:
        # As gunicorn does: connections that linger after an earlier run are no hindrance.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            raise StartError(_sentence(options, error)) from error


def _sentence(options: Options, error: OSError) -> str:
    where = f"{bracketed(options.host)}:{options.port}"
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {options.port} is taken{_holder(options.port)}: stop that process, "
            f"or choose another port, such as --port {_other(options.port)}."
        )
    if error.errno == errno.EACCES:
        return f"Listening at {where} is not permitted: choose a port of 1024 or above with --port."
    if error.errno == errno.EADDRNOTAVAIL:
        return (
            f"{options.host} is not an address of this machine: "
            "choose one that is with --host, such as 127.0.0.1 or 0.0.0.0."
        )
    return f"Cannot listen at {where} ({error.strerror}): choose another --host or --port."


def _other(port: int) -> int:
    return port + 1 if port < 65535 else 8000


def _holder(port: int) -> str:
    """Return who listens at a port, as far as this user may know."""
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status != psutil.CONN_LISTEN or not connection.laddr:
                continue
            if connection.laddr.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (process {connection.pid})"
    except (psutil.Error, OSError):
        pass  # other users' processes are none of ours to see
    return ""

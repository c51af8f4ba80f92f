"""The head of a request in the form of WSGI (PEP 3333)."""

import io
import os
import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

from api.server.response_buffer import FileResponse

_IGNORED = frozenset({b"upgrade"})  # this server upgrades to no other protocol
_NOT_HTTP = {b"content-type": "CONTENT_TYPE", b"content-length": "CONTENT_LENGTH"}


def environ_of(scope: Mapping[str, Any]) -> dict[str, Any]:
    """Return the WSGI environment of a request, without its body, from the scope of ASGI.

    Headers with an underscore are left out: they would be taken for those with a hyphen.
    """
    server, client = scope.get("server") or ("", None), scope.get("client") or ("", None)
    path = unquote_to_bytes(scope["raw_path"]).decode("latin-1")
    root = os.environ.get("SCRIPT_NAME", "").rstrip("/")
    if root and (path == root or path.startswith(f"{root}/")):
        path = path[len(root) :]
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": root,
        "PATH_INFO": path,
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "RAW_URI": scope.get("target", scope["raw_path"]).decode("latin-1"),
        "SERVER_NAME": server[0] or "localhost",
        "SERVER_PORT": str(server[1] or 0),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": client[0] or "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.get("scheme", "http"),
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
        "wsgi.file_wrapper": FileResponse,
        "wsgi.input_terminated": True,
    }
    for name, value in scope["headers"]:
        if b"_" in name or name in _IGNORED:
            continue
        key = _NOT_HTTP.get(name) or f"HTTP_{name.decode('latin-1').upper().replace('-', '_')}"
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ

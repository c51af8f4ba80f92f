"""`GET /openapi.json`: the document of `api.described`, below the path at which it is asked for."""

import json
from functools import cache
from typing import Any

from apiflask import APIFlask
from flask import Response, request

from api.described.document import document


def register(app: APIFlask) -> None:
    """Have `app` answer with the document instead of what APIFlask makes of the views."""
    app.spec_processor(lambda _: described())
    app.after_request(_below_the_prefix)


@cache
def described() -> dict[str, Any]:
    """Return the document, which is made once."""
    return document()


def _below_the_prefix(response: Response) -> Response:
    """Say in the document under which path the API is reached."""
    if request.endpoint == "openapi.spec" and request.script_root and response.is_json:
        spec = {**(response.get_json() or {}), "servers": [{"url": request.script_root}]}
        response.set_data(json.dumps(spec))
    return response

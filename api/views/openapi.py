"""`GET /openapi.json`: the document of `api.described`, below the path at which it is asked for."""

from flask import Blueprint, Response, jsonify, request

from api.described.document import document

blueprint = Blueprint("openapi", __name__)


@blueprint.get("/openapi.json")
def spec() -> Response:
    """Answer with the document."""
    below = {"servers": [{"url": request.script_root}]} if request.script_root else {}
    return jsonify({**document(), **below})

"""`/v1/models`: the registry."""

from typing import Any

from apiflask import APIBlueprint
from flask import Response, jsonify, request, send_file

from api.bodies import parse_json
from api.kernel import kernel
from api.saved_models import saved_model
from worker.errors import InvalidRequestError, ModelNotFoundError, ModelUnavailableError
from worker.models.generation import announce_change
from worker.models.manifest import Manifest, ModelRef
from worker.models.registry import Model

blueprint = APIBlueprint("models", __name__)

_NO_VERSION = 2**31  # nobody publishes so many


@blueprint.get("/v1/models")
@blueprint.doc(tags=["models"])
def index() -> Response:
    """List models with their aliases and versions."""
    registry = kernel().registry
    rows = []
    for name in registry.names():
        try:
            rows.append(_summary(registry.model(name)))
        except ModelUnavailableError as error:  # one that is damaged must not hide the others
            rows.append({"name": name, "aliases": {}, "versions": [], "damaged": [error.message]})
    return jsonify({"models": rows})


@blueprint.get("/v1/models/<name>")
@blueprint.doc(tags=["models"])
def read(name: str) -> Response:
    """Read one model; its versions with their manifests, less the freezing report."""
    model = kernel().registry.model(name)
    versions = [m.model_dump(mode="json", exclude={"report"}) for m in model.versions]
    return jsonify({**_summary(model), "versions": versions})


@blueprint.get("/v1/models/<name>/versions/<version>")
@blueprint.doc(tags=["models"])
def read_version(name: str, version: str) -> Response:
    """Read the manifest of a version; a number or an alias."""
    return jsonify(_resolve(name, version).model_dump(mode="json"))


@blueprint.get("/v1/models/<name>/versions/<version>/graph")
@blueprint.doc(tags=["models"])
def download(name: str, version: str) -> Response:
    """Download the frozen GraphDef (`.pb`) of a version."""
    manifest = _resolve(name, version)
    path = kernel().registry.graph_path(manifest.name, manifest.version)
    if not path.is_file():
        raise ModelNotFoundError(f"The graph file of {name}@{manifest.version} is gone from disk.")
    return send_file(
        path,
        mimetype="application/octet-stream",
        as_attachment=True,
        download_name=f"{manifest.name}-{manifest.version}.pb",
        etag=manifest.sha256,
    )


@blueprint.get("/v1/models/<name>/versions/<version>/savedmodel")
@blueprint.doc(tags=["models"])
def download_saved_model(name: str, version: str) -> Response:
    """Download a version as a zip that TensorFlow Serving loads: the folder `NAME/VERSION`."""
    manifest = _resolve(name, version)
    path = kernel().registry.graph_path(manifest.name, manifest.version)
    return saved_model(manifest, path)


@blueprint.put("/v1/models/<name>/aliases/<alias>")
@blueprint.doc(tags=["models"])
def set_alias(name: str, alias: str) -> Response:
    """Move an alias: `{"version": V}`."""
    body = parse_json(request.get_data(as_text=True))
    version = body.get("version") if isinstance(body, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or not 0 < version < _NO_VERSION:
        raise InvalidRequestError('The body must be JSON such as {"version": 2}.')
    kernel().registry.set_alias(name, alias, version)
    announce_change(kernel().client)
    return jsonify(_summary(kernel().registry.model(name)))


@blueprint.delete("/v1/models/<name>/versions/<version>")
@blueprint.doc(tags=["models"], responses={409: "An alias still means the version"})
def retire(name: str, version: str) -> Response:
    """Retire a version: new jobs cannot name it; jobs that have it pinned still end."""
    manifest = _resolve(name, version)
    kernel().registry.retire(manifest.name, manifest.version)
    announce_change(kernel().client)
    return jsonify(_summary(kernel().registry.model(name)))


def _resolve(name: str, version: str) -> Manifest:
    return kernel().registry.resolve(ModelRef.parse(f"{name}@{version}"))


def _summary(model: Model) -> dict[str, Any]:
    return {
        "name": model.name,
        "aliases": model.aliases,
        "versions": [
            {
                "version": m.version,
                "sha256": m.sha256,
                "bytes": m.bytes,
                "runtime": m.runtime,
                "classifies": m.classifies,
                "created_at": m.model_dump(mode="json")["created_at"],
                "labels": len(m.labels) if m.labels is not None else None,
            }
            for m in model.versions
        ],
        "damaged": list(model.damaged),  # sentences about versions that cannot be read
    }

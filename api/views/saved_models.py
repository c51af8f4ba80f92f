"""`GET /v1/models/NAME/versions/V/savedmodel`: a version for TensorFlow Serving."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from flask import Blueprint, Response, request

from api.http.zip_stream import ZipMember, archive, archive_size, in_memory
from api.services import services
from worker.errors import ModelNotFoundError, ModelUnavailableError
from worker.models.manifest import Manifest, ModelRef
from worker.models.saved_model import wrapping

_CHUNK_BYTES = 1 << 18


blueprint = Blueprint("saved_models", __name__)


@blueprint.get("/v1/models/<name>/versions/<version>/savedmodel")
def download(name: str, version: str) -> Response:
    """Download a version as a zip that TensorFlow Serving loads: the folder `NAME/VERSION`.

    It is streamed from the graph file in small pieces. Labels and manifest are in `assets.extra`,
    which TensorFlow does not read.
    """
    registry = services().registry
    manifest = registry.resolve(ModelRef.parse(f"{name}@{version}"))
    graph = registry.graph_path(manifest.name, manifest.version)
    members = _members(manifest, graph)
    response = Response(archive(members, manifest.created_at), mimetype="application/zip")
    response.content_length = archive_size(members)
    filename = f"{manifest.name}-{manifest.version}-savedmodel.zip"
    response.headers["Content-Disposition"] = f"attachment; filename={filename}"
    response.set_etag(_etag(manifest))
    response.headers["Cache-Control"] = "no-cache"
    response.make_conditional(request.environ)
    return response


def _members(manifest: Manifest, graph: Path) -> Sequence[ZipMember]:
    which = f"{manifest.name}@{manifest.version}"
    try:
        size = graph.stat().st_size
    except FileNotFoundError:
        raise ModelNotFoundError(f"The graph file of {which} is gone from disk.") from None
    if size != manifest.bytes:
        raise ModelUnavailableError(
            f"The graph file of {which} was changed since it was published: freeze the model again."
        )
    folder = f"{manifest.name}/{manifest.version}"
    before, behind = wrapping(manifest)

    def read() -> Iterator[bytes]:
        yield before
        with graph.open("rb") as file:
            while piece := file.read(_CHUNK_BYTES):
                yield piece
        yield behind

    members = [
        ZipMember(
            name=f"{folder}/saved_model.pb",
            size=len(before) + manifest.bytes + len(behind),
            read=read,
        ),
        ZipMember(name=f"{folder}/variables/"),  # empty, but loaders look for it
        in_memory(
            f"{folder}/assets.extra/manifest.json", manifest.model_dump_json(indent=1).encode()
        ),
    ]
    if manifest.labels is not None:
        labels = "".join(f"{label}\n" for label in manifest.labels).encode()
        members.append(in_memory(f"{folder}/assets.extra/labels.txt", labels))
    return members


def _etag(manifest: Manifest) -> str:
    """Return what changes if the archive's content would."""
    before, behind = wrapping(manifest)
    content = before + behind + manifest.model_dump_json().encode()
    return hashlib.sha256(content).hexdigest()

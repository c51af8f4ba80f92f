"""`/v1/models`: the registry."""

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, Response, jsonify, request, send_file, url_for

from api.http.answers import json_response
from api.http.parameters import json_body
from api.services import services
from api.submissions.republishing import publish_again
from worker.contract import models as contract
from worker.contract.base import built, moment
from worker.contract.models import (
    AliasRequest,
    ListedVersion,
    ModelList,
    ModelSummary,
    PreprocessingChoice,
    Retired,
    RetireQuery,
    SetAsideWhy,
    Version,
    VersionSummary,
)
from worker.contract.source_requests import PreparedRequest, RepublishRequest
from worker.errors import ModelNotFoundError, ModelUnavailableError
from worker.models.assumptions import assumption_of, choices, republishing
from worker.models.generation import announce_change
from worker.models.manifest import Manifest, ModelRef, check_model_name
from worker.models.set_aside import RETIRED, SetAside

blueprint = Blueprint("models", __name__)


@blueprint.get("/v1/models")
def index() -> Response:
    """List models with their aliases and versions."""
    aside = services().versions_set_aside()
    found = [_described(name, aside) for name in services().registry.names()]
    return json_response(built(ModelList, models=found))


@blueprint.get("/v1/models/<name>")
def read(name: str) -> Response:
    """Read one model; its versions with their manifests, less the freezing report."""
    model = services().registry.model(name)
    aside = services().versions_set_aside()
    versions = [
        built(ListedVersion, **dict(m), **_state(m, aside), **_assumption(m))
        for m in model.versions
    ]
    answer = built(
        contract.Model,
        name=model.name,
        aliases=model.aliases,
        versions=versions,
        damaged=[*model.damaged],
    )
    return jsonify(answer.model_dump(mode="json", exclude={"versions": {"__all__": {"report"}}}))


@blueprint.post("/v1/models/<name>/versions")
def republish(name: str) -> Response:
    """Publish a version's graph again as the next version, with another preprocessing.

    JSON with `preprocessing`, `labels` or `scores`, of which what is left out stays as it is; with
    `from`, the version or alias of which it is made, and `alias`, what is moved to the new version:
    both are `stable` where they are left out. Nothing is frozen again.
    """
    return _republish(name, RepublishRequest.parse(json_body()))


@blueprint.post("/v1/models/<name>/versions/<version>/preprocessing")
def republish_version(name: str, version: str) -> Response:
    """Publish a version's graph again with the preprocessing that is sent: the same in short.

    The body is a preprocessing, or an object with `preprocessing` and what else may be said.
    """
    sent = json_body()
    whole = isinstance(sent, dict) and "preprocessing" in sent
    asked = PreparedRequest.parse(sent if whole else {"preprocessing": sent})
    return _republish(name, RepublishRequest(**{**dict(asked), "from": version}))


@blueprint.get("/v1/models/<name>/versions/<version>")
def read_version(name: str, version: str) -> Response:
    """Read the manifest of a version; a number or an alias."""
    return jsonify(_whole(_resolve(name, version)))


@blueprint.get("/v1/models/<name>/versions/<version>/graph")
def download(name: str, version: str) -> Response:
    """Download the frozen GraphDef (`.pb`) of a version."""
    manifest = _resolve(name, version)
    path = services().registry.graph_path(manifest.name, manifest.version)
    if not path.is_file():
        raise ModelNotFoundError(f"The graph file of {name}@{manifest.version} is gone from disk.")
    return send_file(
        path,
        mimetype="application/octet-stream",
        as_attachment=True,
        download_name=f"{manifest.name}-{manifest.version}.pb",
        etag=manifest.sha256,
    )


@blueprint.put("/v1/models/<name>/aliases/<alias>")
def set_alias(name: str, alias: str) -> Response:
    """Move an alias: `{"version": V}`."""
    version = AliasRequest.parse(json_body()).version
    meant = services().registry.resolve(ModelRef(check_model_name(name), version, None))
    aside = _find(meant, services().versions_set_aside())
    if aside is not None:
        raise aside.error(name, version)
    services().registry.set_alias(name, alias, version)
    announce_change(services().client)
    return json_response(_described(name, services().versions_set_aside()))


@blueprint.delete("/v1/models/<name>/versions/<version>")
def retire(name: str, version: str) -> Response:
    """Retire a version: new jobs cannot name it; jobs that have it pinned still end.

    With `?force=true` also where an alias means it, and jobs that wait for it fail. The alias then
    means the newest version before that one that can be used, else the newest after it, or is
    removed where there is none: `moved` says what each means now, null for removed.
    """
    force = RetireQuery.parse(request.args.to_dict()).force == "true"
    number = services().registry.number(ModelRef.parse(f"{name}@{version}"))
    aside = services().versions_set_aside()
    if force:  # first, so that the request can be repeated where Redis fails
        services().set_aside.add(
            name, number, sha256="", code=RETIRED, reason="it was retired by force"
        )
    passed_over = [m.version for m in services().registry.readable(name) if _find(m, aside)]
    moved = services().registry.retire(name, number, force=force, passed_over=passed_over)
    announce_change(services().client)
    model = _described(name, services().versions_set_aside())
    return json_response(built(Retired, **dict(model), moved=moved))


@blueprint.delete("/v1/models/<name>/versions/<version>/set-aside")
def try_again(name: str, version: str) -> Response:
    """Have a version that was set aside tried again, under the same limits."""
    services().set_aside.try_again(
        name, services().registry.number(ModelRef.parse(f"{name}@{version}"))
    )
    return json_response(_described(name, services().versions_set_aside()))


def _republish(name: str, asked: RepublishRequest) -> Response:
    made = publish_again(name, asked)
    response = jsonify(_whole(made))
    response.status_code = 201
    response.headers["Location"] = url_for(
        "models.read_version", name=made.name, version=made.version
    )
    return response


def _whole(manifest: Manifest) -> dict[str, Any]:
    return built(Version, **dict(manifest), **_assumption(manifest)).model_dump(mode="json")


def _resolve(name: str, version: str) -> Manifest:
    return services().registry.resolve(ModelRef.parse(f"{name}@{version}"))


def _find(manifest: Manifest, aside: Mapping[str, SetAside]) -> SetAside | None:
    found = aside.get(f"{manifest.name}@{manifest.version}")
    return found if found is not None and found.means(manifest.sha256) else None


def _state(manifest: Manifest, aside: Mapping[str, SetAside]) -> dict[str, Any]:
    """Return the fields that say whether a version is served."""
    found = _find(manifest, aside)
    return {
        "state": "published" if found is None else "set_aside",
        "set_aside": None if found is None else _why(found),
    }


def _why(aside: SetAside) -> SetAsideWhy:
    """Return why a version was set aside as the contract shows it."""
    return built(SetAsideWhy, code=aside.code, reason=aside.reason, at=moment(aside.since_ms))


def _assumption(manifest: Manifest) -> dict[str, Any]:
    """Return a sentence on what is assumed of how images are prepared, and what may be meant."""
    how, basis, name = manifest.preprocessing, manifest.basis, manifest.name
    meant = choices(republishing(name, manifest.version), how, basis)
    return {
        "assumption": assumption_of(manifest),
        "choices": [built(PreprocessingChoice, **choice._asdict()) for choice in meant],
    }


def _described(name: str, aside: Mapping[str, SetAside]) -> ModelSummary:
    """Return a model's summary; a damaged model must not hide the others."""
    try:
        model = services().registry.model(name)
    except ModelUnavailableError as error:
        return built(ModelSummary, name=name, aliases={}, versions=[], damaged=[error.message])
    return built(
        ModelSummary,
        name=model.name,
        aliases=model.aliases,
        versions=[_version(manifest, aside) for manifest in model.versions],
        damaged=[*model.damaged],
    )


def _version(manifest: Manifest, aside: Mapping[str, SetAside]) -> VersionSummary:
    return built(
        VersionSummary,
        version=manifest.version,
        sha256=manifest.sha256,
        bytes=manifest.bytes,
        runtime=manifest.runtime,
        classifies=manifest.classifies,
        created_at=manifest.created_at,
        labels=len(manifest.labels) if manifest.labels is not None else None,
        basis=manifest.basis.kind if manifest.basis is not None else None,
        **_state(manifest, aside),
    )

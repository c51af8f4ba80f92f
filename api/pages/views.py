"""The pages' views: parse, call, render."""

from flask import (
    Blueprint,
    Response,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from werkzeug.wrappers import Response as AnyResponse

from api.access import identity
from api.described.document import document
from api.http.answers import json_response, present, respond_to_submission
from api.http.parameters import one_of, parse_json
from api.pages import failures, photographs, reference
from api.services import services
from api.submissions.predictions import accept_image
from api.submissions.republishing import publish_again
from worker.contract.source_requests import RepublishRequest
from worker.credentials.api_key import Scope
from worker.errors import (
    InvalidRequestError,
    ModelNotFoundError,
    ModelUnavailableError,
    NotFoundError,
    PermafrostError,
)
from worker.jobs.records import WITH_LOG, Job, Kind, Lane, Status
from worker.models.assumptions import assumption_of
from worker.models.manifest import ModelRef
from worker.models.registry import RegisteredModel

blueprint = Blueprint(
    "pages",
    __name__,
    template_folder="templates",
    static_folder="static",
    static_url_path="/static",
)

_JOBS_PER_PAGE = 25
_MOST_LABELS = 10  # of a batch, the most frequent ones


@blueprint.get("/")
def home() -> str:
    """Show the form that takes a photograph."""
    return _home()


@blueprint.post("/")
def classify() -> AnyResponse:
    """Accept the form's photograph and lead to its job.

    The page's script sends the same form but accepts JSON: it is answered as `/v1/predictions`
    answers. Unlike there, the photograph is kept for a while after the job, for the job's page.
    """
    try:
        file = request.files.get("image")
        image = file.read() if file else b""
        if not image:
            raise InvalidRequestError("Choose a photograph first: the form came without one.")
        accepted = accept_image(
            image,
            model=request.form.get("model"),
            top=request.form.get("top"),
            keep_upload_s=services().settings.upload_ttl_s,
        )
    except PermafrostError as error:
        if _wants_json():
            raise
        page = make_response(_home(error=error), error.status)
        if error.retry_after is not None:
            page.headers["Retry-After"] = str(error.retry_after)
        return page
    if _wants_json():
        return respond_to_submission(accepted.job_id, accepted.job)
    return redirect(url_for("pages.job", job_id=accepted.job_id), 303)


@blueprint.get("/favicon.ico")
def icon() -> Response:
    """Show the icon where browsers look for it by themselves, as they do beside JSON."""
    return blueprint.send_static_file("crystal.svg")


@blueprint.get("/jobs/<job_id>")
def job(job_id: str) -> AnyResponse:
    """Show a job, as JSON to who asks for that; until it has ended, the page follows it."""
    found = services().store.get(job_id, owner=identity.owner())
    if _wants_json():
        answer = json_response(present(found))
        answer.headers["Vary"] = "Accept"
        return answer
    log = services().store.log(job_id) if found.kind in WITH_LOG else []
    listed = found.kind is Kind.BATCH and found.progress.failed > 0
    page = render_template(
        "job.html",
        job=found,
        photograph=photographs.media_type(services().client, job_id),
        log=log,
        step=next((line.step for line in reversed(log) if line.step), None),
        failures=failures.by_reason(found) if listed else [],
        most_failures=failures.MOST_LISTED,
        may_cancel=not found.status.ended
        and (identity.may(Scope.SUBMIT) or identity.may(Scope.FREEZE)),
        may_retry=listed and found.status is Status.SUCCEEDED and identity.may(Scope.SUBMIT),
        labels=services().batches.labels(job_id) if found.kind is Kind.BATCH else {},
        most_labels=_MOST_LABELS,
        assumption=_assumption(found),
    )
    return make_response(page)


@blueprint.post("/jobs/<job_id>/cancel")
def cancel(job_id: str) -> AnyResponse:
    """Cancel a job, and lead back to its page."""
    services().store.cancel(job_id, owner=identity.owner())
    return redirect(url_for("pages.job", job_id=job_id), 303)


@blueprint.post("/jobs/<job_id>/retry")
def retry(job_id: str) -> AnyResponse:
    """Queue the failed images of a batch again, and lead back to its page."""
    found = services().store.get(job_id, owner=identity.owner())
    if found.kind is not Kind.BATCH:
        raise NotFoundError(f"Job {job_id} is no batch but a {found.kind}.")
    _, ticket_needed = services().batches.retry(job_id)
    if ticket_needed:
        services().send_ticket(Lane.BULK)
    return redirect(url_for("pages.job", job_id=job_id), 303)


@blueprint.get("/jobs/<job_id>/image")
def image(job_id: str) -> Response:
    """Show the photograph of a prediction while it is kept."""
    services().store.get(job_id, owner=identity.owner())
    content = services().store.upload(job_id)
    media_type = photographs.sniffed(content)
    if content is None or media_type is None:
        raise NotFoundError("The photograph of this job is not kept any more.")
    response = Response(content, mimetype=media_type)
    response.headers["Cache-Control"] = f"private, max-age={services().settings.upload_ttl_s}"
    return response


@blueprint.get("/jobs")
def jobs() -> str:
    """List the newest jobs; `?kind=`, `?status=`, `?cursor=`."""
    kind, status = one_of(Kind, "kind"), one_of(Status, "status")
    cursor = request.args.get("cursor") or None
    page = services().store.page(
        kind=kind,
        status=status,
        cursor=cursor,
        limit=_JOBS_PER_PAGE,
        owner=identity.owner(),
    )
    return render_template(
        "jobs.html",
        page=page,
        kind=kind,
        status=status,
        first=cursor is None,
        kinds=list(Kind),
        statuses=list(Status),
    )


@blueprint.get("/models")
def models() -> str:
    """List the models with their versions."""
    registry = services().registry
    found: list[RegisteredModel] = []
    unreadable: list[str] = []
    for name in registry.names():
        try:
            found.append(registry.model(name))
        except ModelUnavailableError as error:  # one damaged manifest must not hide the others
            unreadable.append(error.message)
    return render_template(
        "models.html",
        models=found,
        unreadable=unreadable,
        set_aside=services().versions_set_aside(),
    )


@blueprint.post("/models/<name>/versions/<int:version>/try-again")
def try_again(name: str, version: int) -> AnyResponse:
    """Have a version that was set aside tried again, and lead back to the models."""
    services().set_aside.try_again(
        name, services().registry.number(ModelRef.parse(f"{name}@{version}"))
    )
    return redirect(url_for("pages.models"), 303)


@blueprint.post("/models/<name>/versions/<int:version>/preprocessing")
def republish(name: str, version: int) -> AnyResponse:
    """Publish a version again with the preprocessing that was chosen, and lead to the models."""
    chosen = parse_json(request.form.get("preprocessing", ""))
    publish_again(name, RepublishRequest.parse({"from": version, "preprocessing": chosen}))
    return redirect(url_for("pages.models", _anchor=f"model-{name}"), 303)


@blueprint.get("/workers")
def workers() -> str:
    """List the worker processes with the graphs that each of them has loaded."""
    return render_template("workers.html", workers=services().roster.read())


@blueprint.get("/docs")
def docs() -> str:
    """Show what the server answers, from its OpenAPI document."""
    spec = document()
    return render_template(
        "reference.html",
        description=spec["info"]["description"],
        resources=reference.resources(spec),
    )


def _assumption(found: Job) -> str | None:
    """Return the sentence on what is assumed of the preprocessing of a job's version, if any."""
    if found.model is None or not found.model.basis:
        return None
    try:
        manifest = services().registry.manifest(found.model.name, found.model.version)
    except (ModelNotFoundError, ModelUnavailableError):
        return None
    return assumption_of(manifest)


def _home(error: PermafrostError | None = None) -> str:
    chosen = request.form.get("model")
    models = services().registry.stable()
    return render_template(
        "home.html",
        models=models,
        chosen=chosen if any(model.name == chosen for model in models) else None,
        error=error,
        worker_ready=any(
            worker.state == "ready" and Lane.INTERACTIVE in worker.queues
            for worker in services().roster.read()
        ),
        freezing=None if models else _newest_freeze(),
        max_bytes=services().settings.max_image_bytes,
        media_types=photographs.MEDIA_TYPES,
    )


def _newest_freeze() -> str | None:
    """Return the id of a freeze that has not ended, for a system that has no model yet."""
    for status in (Status.RUNNING, Status.QUEUED):
        page = services().store.page(
            kind=Kind.FREEZE, status=status, limit=1, owner=identity.owner()
        )
        if page.jobs:
            return page.jobs[0].id
    return None


def _wants_json() -> bool:
    accepted = request.accept_mimetypes
    return accepted["application/json"] > accepted["text/html"]

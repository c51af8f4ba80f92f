"""The composition root of the front end."""

from flask import Flask

from api import pages
from api.access import admission, clients, cors
from api.access.origin_policy import OriginPolicy
from api.http import headers, problems
from api.services import Services
from api.views import (
    batches,
    comparisons,
    events,
    health,
    jobs,
    keys,
    models,
    openapi,
    predictions,
    saved_models,
    sources,
    workers,
)
from worker.logging import configure_logging
from worker.settings import Settings

_FORM_BYTES = 64 * 1024  # beside the image: the other fields, and the boundaries


def compose(settings: Settings) -> Flask:
    """Return the application with all its resources."""
    configure_logging(settings.log_level)
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_image_bytes + _FORM_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined]  # DefaultJSONProvider's own option
    app.extensions["services"] = Services(settings)
    app.extensions["origin_policy"] = OriginPolicy(settings)
    problems.register(app)
    headers.register(app)
    cors.register(app)
    clients.register(app, settings)
    admission.register(app)
    for module in (
        *(predictions, batches, comparisons, sources, jobs, events),
        *(models, saved_models, workers, keys, health, openapi, pages),
    ):
        app.register_blueprint(module.blueprint)
    return app

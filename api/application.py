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
    freezes,
    health,
    inspections,
    jobs,
    keys,
    models,
    openapi,
    predictions,
    workers,
)
from worker.logging import configure_logging
from worker.settings import Settings

_MULTIPART_ROOM = 64 * 1024  # bytes for the parts around an upload


def compose(settings: Settings) -> Flask:
    """Return the application with all its resources."""
    configure_logging(settings.log_level)
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_image_bytes + _MULTIPART_ROOM
    app.json.sort_keys = False  # type: ignore[attr-defined]  # DefaultJSONProvider's own option
    app.extensions["services"] = Services(settings)
    app.extensions["origin_policy"] = OriginPolicy(settings)
    problems.register(app)
    headers.register(app)
    cors.register(app)
    clients.register(app, settings)
    admission.register(app)
    for module in (
        *(predictions, batches, comparisons, freezes, inspections, jobs, events),
        *(models, workers, keys, health, openapi, pages),
    ):
        app.register_blueprint(module.blueprint)
    return app

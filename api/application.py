"""The composition root of the front end."""

from flask import Flask

from api import (
    admission,
    batches,
    comparisons,
    cors,
    events,
    freezes,
    headers,
    health,
    inspections,
    jobs,
    keys,
    limits,
    models,
    openapi,
    pages,
    predictions,
    problems,
    workers,
)
from api.access import Access
from api.kernel import Kernel
from worker.logging import configure_logging
from worker.settings import Settings

_MULTIPART_ROOM = 64 * 1024  # bytes for the parts around an upload


def compose(settings: Settings) -> Flask:
    """Return the application with all its resources."""
    configure_logging(settings.log_level)
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_image_bytes + _MULTIPART_ROOM
    app.json.sort_keys = False  # type: ignore[attr-defined]  # DefaultJSONProvider's own option
    app.extensions["kernel"] = Kernel(settings)
    app.extensions["access"] = Access(settings)
    problems.register(app)
    headers.register(app)
    cors.register(app)
    limits.register(app, settings)
    admission.register(app)
    for module in (
        *(predictions, batches, comparisons, freezes, inspections, jobs, events),
        *(models, workers, keys, health, openapi, pages),
    ):
        app.register_blueprint(module.blueprint)
    return app

"""The front end: accepts work, answers at once with a job URL, and never imports TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from worker.settings import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """Compose the application. Everything it needs is made here and nowhere else."""
    from api.application import compose  # noqa: PLC0415 - the command line client imports `api` too
    from worker.settings import get_settings  # noqa: PLC0415

    return compose(settings or get_settings())

"""The links of the layout that all pages share."""

from typing import Any, Final

from flask import Blueprint, current_app

_SECTIONS: Final = (
    ("pages.home", "Classify"),
    ("pages.jobs", "Jobs"),
    ("pages.models", "Models"),
    ("pages.workers", "Workers"),
)
# Shown in the footer where the application has them.
_REFERENCES: Final = (
    ("/docs", "API reference"),
    ("/openapi.json", "OpenAPI"),
    ("/metrics", "Metrics"),
    ("/readyz", "Readiness"),
)


def register(blueprint: Blueprint) -> None:
    """Give the links to every template of the application."""
    blueprint.app_context_processor(_links)


def _links() -> dict[str, Any]:
    rules = {rule.rule for rule in current_app.url_map.iter_rules()}
    return {
        "sections": _SECTIONS,
        "references": [(path, title) for path, title in _REFERENCES if path in rules],
    }

"""The links of the layout that all pages share."""

from typing import Any, Final

from flask import Blueprint, current_app, request

from api.access import identity, permissions
from worker.credentials.api_key import Scope

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


def _may_see(endpoint: str) -> bool:
    grant = identity.grant()
    return grant is None or any(map(grant.allows, permissions.scopes_for(endpoint)))


def _links() -> dict[str, Any]:
    rules = {rule.rule for rule in current_app.url_map.iter_rules()}
    grant = identity.grant()
    sections = [row for row in _SECTIONS if _may_see(row[0])]
    if grant is not None and grant.allows(Scope.ADMIN):
        sections.append(("pages.keys", "Keys"))
    return {
        "sections": sections,
        "who": grant if identity.signed_in() else None,
        "may_submit": identity.may(Scope.SUBMIT),
        "references": [
            (request.script_root + path, title) for path, title in _REFERENCES if path in rules
        ],
    }

"""Who sent Flask's request, as `api.access.admission` found out."""

from flask import g

from worker.credentials.api_key import Grant, Scope


def set_grant(grant: Grant | None, *, signed_in: bool = False) -> None:
    """Note whose request this is; None where no key is needed."""
    g.grant, g.signed_in = grant, signed_in


def grant() -> Grant | None:
    """Return what the request's key allows; None where no key is needed, or none was sent."""
    found: Grant | None = g.get("grant")
    return found


def signed_in() -> bool:
    """Whether the request is of a browser that signed in."""
    return bool(g.get("signed_in"))


def key_id() -> str:
    """Return the key that owns what this request makes, or nothing where no key is needed."""
    found = grant()
    return found.key if found else ""


def owner() -> str | None:
    """Return the key whose jobs are the only ones that this request sees; None: it sees all."""
    found = grant()
    return found.owner if found else None


def may(scope: Scope) -> bool:
    """Whether the request's key allows this; all is allowed where no key is needed."""
    found = grant()
    return found is None or found.allows(scope)

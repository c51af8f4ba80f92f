"""Which scopes let a request in, by the view that answers it; all others need `admin`."""

from typing import Final

from worker.credentials.api_key import Grant, Scope
from worker.errors import ScopeMissingError

# Answered without a key: what shows no data of anybody, and what is needed to sign in.
PUBLIC: Final = frozenset(
    {
        *("health.healthz", "health.readyz", "openapi.spec"),
        *("pages.docs", "pages.static", "pages.icon"),
        *("pages.sign_in", "pages.signing_in", "pages.sign_out"),
    }
)

_SUBMIT, _READ, _FREEZE, _ADMIN = (frozenset({scope}) for scope in Scope)
_ANY = frozenset(Scope)

# Refused as long as no key is needed: else any caller could make a key that stays valid.
OF_KEYS: Final = frozenset(
    {
        *("keys.index", "keys.create", "keys.renew", "keys.revoke"),
        *("pages.keys", "pages.change_keys"),
    }
)

# One of these is enough, and `admin` always is.
SCOPES: Final[dict[str, frozenset[Scope]]] = {
    "predictions.create": _SUBMIT,
    "comparisons.create": _SUBMIT,
    **dict.fromkeys(("batches.create", "batches.add", "batches.seal", "batches.retry"), _SUBMIT),
    **dict.fromkeys(("batches.paths", "batches.results"), _READ),
    **dict.fromkeys(("sources.freeze", "sources.inspect"), _FREEZE),
    **dict.fromkeys(("jobs.index", "jobs.read", "events.stream"), _READ),
    **dict.fromkeys(("jobs.cancel", "pages.cancel"), _SUBMIT | _FREEZE),
    **dict.fromkeys(("models.index", "models.read", "models.read_version"), _READ),
    **dict.fromkeys(("models.download", "saved_models.download"), _READ),
    **dict.fromkeys(("models.republish", "models.republish_version", "pages.republish"), _FREEZE),
    **dict.fromkeys(("models.set_alias", "models.retire", "models.try_again"), _ADMIN),
    **dict.fromkeys(("workers.index", "health.metrics"), _READ),
    **dict.fromkeys(("keys.index", "keys.create", "keys.renew", "keys.revoke"), _ADMIN),
    "keys.own": _ANY,
    "pages.home": _ANY,
    **dict.fromkeys(("pages.classify", "pages.retry"), _SUBMIT),
    **dict.fromkeys(("pages.job", "pages.image", "pages.jobs"), _READ),
    **dict.fromkeys(("pages.models", "pages.workers"), _READ),
    **dict.fromkeys(("pages.keys", "pages.change_keys", "pages.try_again"), _ADMIN),
}


def scopes_for(endpoint: str | None) -> frozenset[Scope]:
    """Return the scopes of which one lets a request in."""
    return SCOPES.get(endpoint or "", _ADMIN)


def check(grant: Grant, endpoint: str | None) -> None:
    """Raise `ScopeMissingError` where a key does not allow what a view does."""
    wanted = scopes_for(endpoint)
    if not any(grant.allows(scope) for scope in wanted):
        named = " or ".join(f"`{scope}`" for scope in Scope if scope in wanted)
        has = ", ".join(scope for scope in Scope if scope in grant.scopes)
        raise ScopeMissingError(
            f"This needs an API key with the scope {named}; '{grant.name}' has {has}. "
            "The operator of the server can make another one."
        )

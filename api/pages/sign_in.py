"""The pages for signing in with an API key, for signing out, and for the keys themselves."""

import re
from typing import Any
from urllib.parse import urlsplit

from flask import make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as AnyResponse

from api.access import admission, credentials, identity
from api.pages.views import blueprint
from api.services import LoopServices, services
from api.services.authentication import secret_in
from worker.credentials.api_key import Scope, digest_of, parse_scopes
from worker.credentials.key_store import KeyWithSecret
from worker.errors import InvalidRequestError, KeyRequiredError, PermafrostError

# Where a browser may be led after signing in: a path of ours, never the name of a host.
_PATH = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,500}")


@blueprint.get("/sign-in")
def sign_in() -> AnyResponse:
    """Show the form that takes an API key; `?next=` leads on afterwards."""
    if identity.grant() is not None or not services().loop.run(_required):
        return redirect(_next(request.args.get("next")), 303)
    return make_response(_form(request.args.get("next")))


@blueprint.post("/sign-in")
def signing_in() -> AnyResponse:
    """Begin a session with the key of the form, and end the one before."""
    asked = request.form.get("next")
    try:
        digest = digest_of(secret_in(f"Bearer {request.form.get('key', '').strip() or '-'}"))
        services().loop.run(lambda shared: shared.authentication.of_digest(digest))
    except KeyRequiredError as error:
        return make_response(_form(asked, error=error), 401)
    _end()
    session_id = services().sessions.begin(digest)
    answer = redirect(_next(asked), 303)
    answer.set_cookie(
        credentials.COOKIE,
        session_id,
        max_age=services().settings.session_ttl_s,
        path=request.script_root or "/",
        httponly=True,
        samesite="Strict",
        secure=admission.is_secure(services().settings.trusted_proxies),
    )
    return answer


@blueprint.post("/sign-out")
def sign_out() -> AnyResponse:
    """End the session."""
    _end()
    answer = redirect(url_for("pages.sign_in"), 303)
    answer.delete_cookie(
        credentials.COOKIE, path=request.script_root or "/", httponly=True, samesite="Strict"
    )
    return answer


@blueprint.get("/keys")
def keys() -> str:
    """List the API keys, with forms that make and revoke them."""
    return _keys()


@blueprint.post("/keys")
def change_keys() -> AnyResponse:
    """Make or revoke a key; a new one is shown on this answer only."""
    store = services().keys
    try:
        if revoked := request.form.get("revoke"):
            store.revoke(revoked)
            return redirect(url_for("pages.keys"), 303)
        made = store.create(
            request.form.get("name", ""),
            parse_scopes(request.form.getlist("scope")),
            days=_days(request.form.get("days", "")),
        )
    except PermafrostError as error:
        return make_response(_keys(error=error), error.status)
    answer = make_response(_keys(made=made))
    answer.headers["Cache-Control"] = "no-store"
    return answer


async def _required(loop_services: LoopServices) -> bool:
    return await loop_services.authentication.required()


def _end() -> None:
    session_id = request.cookies.get(credentials.COOKIE, "")
    if session_id:
        services().sessions.end(session_id)
        services().loop.run(lambda shared: shared.authentication.forget(session_id))


def _form(asked: str | None, error: PermafrostError | None = None) -> str:
    return render_template("sign_in.html", next=_next(asked), error=error)


def _keys(made: KeyWithSecret | None = None, error: PermafrostError | None = None) -> str:
    found: list[Any] = services().keys.all()
    own = identity.grant()
    return render_template(
        "keys.html",
        keys=list(reversed(found)),
        scopes=list(Scope),
        made=made,
        error=error,
        own=own.key if own else None,
    )


def _next(asked: str | None) -> str:
    """Return where to go on, which is a path of this server whatever was asked for."""
    home = url_for("pages.home")
    if not asked or not _PATH.fullmatch(asked):
        return home
    parts = urlsplit(asked)
    if parts.scheme or parts.netloc or parts.path.startswith(url_for("pages.sign_in")):
        return home
    return asked


def _days(text: str) -> float | None:
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 6):
        raise InvalidRequestError("expires: give a whole number of days, or nothing.")
    return float(text)

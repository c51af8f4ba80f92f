"""Headers of pages: what a browser may load, keep and tell others."""

from typing import Final

from flask import Blueprint, Response, request

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'self'",
        "img-src 'self' blob:",  # a chosen photograph is shown before it is sent
        "object-src 'none'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)


def register(blueprint: Blueprint) -> None:
    """Set the headers on everything that the blueprint answers and on every problem page."""
    # For the whole application, because an address that nothing answers to belongs to no blueprint
    # but is answered with a page all the same.
    blueprint.after_app_request(_protect)


def _protect(response: Response) -> Response:
    is_page = response.mimetype == "text/html"
    if is_page or request.blueprint == "pages":
        response.headers["Referrer-Policy"] = "same-origin"
        response.headers["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
    if is_page:
        # Asked for again each time, yet kept for the browser's Back, where a visit's results are.
        response.headers.setdefault("Cache-Control", "private, no-cache")
        response.headers.add("Vary", "Accept")
    return response

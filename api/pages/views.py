"""The pages' views."""

from apiflask import APIBlueprint
from flask import render_template

blueprint = APIBlueprint(
    "pages",
    __name__,
    enable_openapi=False,
    template_folder="templates",
    static_folder="static",
    static_url_path="/static",
)


@blueprint.get("/")
def home() -> str:
    """Show the upload page."""
    return render_template("home.html")

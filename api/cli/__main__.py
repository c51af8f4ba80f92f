"""`python -m api.cli`: the client commands alone."""

from api.cli import app

app(prog_name="permafrost")

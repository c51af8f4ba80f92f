"""`python -m api.cli`: the client commands alone."""

from api.cli import app
from api.cli.options import shared

app.callback()(shared)
app(prog_name="permafrost")

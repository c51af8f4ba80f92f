"""HTML pages. They work without JavaScript and load nothing from outside."""

from api.pages.views import blueprint

__all__ = ["blueprint"]

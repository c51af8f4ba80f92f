"""HTML pages. They work without JavaScript and load nothing from outside."""

from api.pages import access, filters, headers, navigation
from api.pages.views import blueprint

filters.register(blueprint)
headers.register(blueprint)
navigation.register(blueprint)

__all__ = ["access", "blueprint"]

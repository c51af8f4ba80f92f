"""HTML pages. They work without JavaScript and load nothing from outside."""

from api.pages import filters, headers, navigation, sign_in
from api.pages.views import blueprint

filters.register(blueprint)
headers.register(blueprint)
navigation.register(blueprint)

__all__ = ["blueprint", "sign_in"]

"""Text that strangers made up, as it may be shown: on a page, in a terminal, in a log."""

from collections.abc import Iterable
from difflib import get_close_matches

LONGEST_SHOWN = 80  # characters of a name that somebody made up


def printable(text: str) -> str:
    """Return text in one line, with a question mark for each character that cannot be shown.

    Such as control characters, which a terminal obeys, and halves of surrogate pairs, as Python
    reads names that are not UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in " ".join(text.split()))


def shown_url(url: str) -> str:
    """Return what anybody may see of a webhook's URL: its path may hold a secret."""
    scheme, _, rest = url.partition("://")
    authority, _, path = rest.partition("/")
    return f"{scheme}://{authority}/{'...' if path else ''}"


def no_field(called: str, name: str, fields: Iterable[str]) -> str:
    """Return the sentence about a field `name` that is not among the `fields` of something.

    It offers the nearest one, because names are often nearly right.
    """
    near = get_close_matches(name[:LONGEST_SHOWN], list(fields), n=1)
    meant = f" Did you mean '{near[0]}'?" if near else ""
    return f"The {called} has no field '{printable(name)[:LONGEST_SHOWN]}'.{meant}"

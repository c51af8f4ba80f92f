"""Checking the address of Redis, and showing it without its password.

A password in which special characters are not percent-encoded is split wrongly by any parser of
URLs, and parts of it are taken for host and port. So such addresses are refused before anything
else reads them, with a sentence that holds nothing of them.
"""

import re
from urllib.parse import SplitResult, urlsplit

FORMS = "redis://HOST:PORT/DB, rediss://HOST:PORT/DB or unix:///PATH?db=0"
_DATABASE = re.compile(r"/?[0-9]{0,9}")


def check_redis_address(url: str) -> None:
    """Raise `ValueError`, which holds nothing of the address, where it is none."""
    if not _is_sound(url):
        raise ValueError(
            f"it is not {FORMS}, with the user and the password before HOST as USER:PASSWORD@; "
            "write what is neither letter nor digit in them as in any URL: %40 for @, %2F for /"
        )


def shown_address(url: str) -> str:
    """Return where a Redis is, without user, password and options."""
    if not _is_sound(url):
        return "the address in REDIS_URL"
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()


def _is_sound(url: str) -> bool:
    if "#" in url or any(ord(character) < 32 for character in url):  # urlsplit drops some of them
        return False
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return False
    if parts.scheme == "unix":
        return parts.netloc in ("", "localhost") or parts.netloc.endswith("@")
    return parts.scheme in ("redis", "rediss") and _names_a_host(parts)


def _names_a_host(parts: SplitResult) -> bool:
    behind = parts.path + parts.query  # where an `@` belongs to a password that was cut
    return bool(_DATABASE.fullmatch(parts.path)) and "@" not in behind

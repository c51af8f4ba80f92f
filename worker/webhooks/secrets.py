"""The format of a secret for signing webhooks."""

import base64
import binascii
import secrets

_PREFIX = "whsec_"
_FEWEST_BYTES, _MOST_BYTES = 24, 64  # as Standard Webhooks asks
_NEW_BYTES = 32


def read_secret(text: str) -> bytes:
    """Return the key of a secret spelled `whsec_BASE64`; raise `ValueError`, without the secret."""
    if text.startswith(_PREFIX):
        try:
            found = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            found = b""
        if _FEWEST_BYTES <= len(found) <= _MOST_BYTES:
            return found
    raise ValueError(
        f"a webhook secret is `{_PREFIX}` and then {_FEWEST_BYTES} to {_MOST_BYTES} random bytes "
        "in base64: `./permafrost webhooks secret` makes one"
    )


def new_secret() -> str:
    """Return a new secret in its usual spelling."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(_NEW_BYTES)).decode("ascii")

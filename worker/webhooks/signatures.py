"""Signatures as Standard Webhooks 1.0 defines them, and the secrets that make them.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

The secrets are the installation's: those of the setting, else those of a file in the data folder,
the newest first. While there are two, every webhook is signed with both, so that receivers can
change over without a gap.
"""

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

from worker.errors import WebhooksOffError
from worker.settings import Settings
from worker.webhooks.secrets import new_secret, read_secret

_KEPT = 2  # secrets in the file: the newest, and the one that receivers change over from


def secret_file(settings: Settings) -> Path:
    """Return where secrets are kept that the setting does not give."""
    return settings.data / "webhook-secret"


def known_secrets(settings: Settings) -> tuple[str, ...]:
    """Return the secrets, the newest first; raise `WebhooksOffError` where there are none."""
    text = settings.webhook_secret.get_secret_value()
    if not text:
        try:
            text = secret_file(settings).read_text("ascii")
        except (OSError, UnicodeDecodeError):
            text = ""
    found = tuple(text.split())
    try:
        for secret in found:
            read_secret(secret)
    except ValueError:
        found = ()
    if not found:
        raise WebhooksOffError(
            "This server has no secret to sign webhooks with. Its operator makes one with "
            "`./permafrost webhooks secret`."
        )
    return found


def make_secret(settings: Settings, *, renew: bool = False) -> tuple[str, ...]:
    """Return the secrets of the data folder, after making the first or, with `renew`, the next."""
    path = secret_file(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without the setting: what is in the file is asked for.
    try:
        found = path.read_text("ascii").split()
    except FileNotFoundError:
        found = []
    if found and not renew:
        return tuple(found)
    found = [new_secret(), *found][:_KEPT]
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:  # noqa: PTH123 - for its mode
        file.write("\n".join(found) + "\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
    return tuple(found)


def signed_headers(
    keys: Sequence[str], message_id: str, timestamp: int, body: bytes
) -> dict[str, str]:
    """Return the headers by which a receiver knows a message; `timestamp`: of the attempt."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    signatures = (
        base64.b64encode(hmac.digest(read_secret(key), signed, hashlib.sha256)).decode("ascii")
        for key in keys
    )
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }

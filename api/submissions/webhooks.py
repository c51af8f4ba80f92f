"""The field `webhook` of a submission: who is told when the job has ended."""

from typing import Any

from api.services import services
from worker.errors import WebhookError
from worker.webhooks.signatures import known_secrets
from worker.webhooks.targets import AllowedHosts, Target


def webhook_of(value: Any) -> Target | None:
    """Return the receiver that a submission names; None where it names none.

    Raises `WebhookError` where it is no address that webhooks are sent to, and `WebhooksOffError`.
    Names are not looked up here: that would let strangers ask this server's resolver, and the
    deliverer must look once more in any case.
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise WebhookError("webhook must be an address such as https://example.com/hooks.")
    settings = services().settings
    target = Target.parse(value, AllowedHosts.of(settings.webhook_hosts))
    known_secrets(settings)
    return target

"""The field `webhook` of a submission: the address that is called when the job has ended."""

from typing import Any

from api.services import services
from worker.errors import WebhookError
from worker.webhooks.signatures import known_secrets
from worker.webhooks.targets import AllowedHosts, Target


def webhook_of(value: Any) -> Target | None:
    """Return the receiver that a submission names; None where it names none.

    Raises `WebhookError` where it is no address that webhooks are sent to, and `WebhooksOffError`.
    Host names are not resolved here: clients could use this server to resolve any name, and the
    deliverer has to resolve it again in any case.
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise WebhookError("webhook must be an address such as https://example.com/hooks.")
    settings = services().settings
    target = Target.parse(value, AllowedHosts.of(settings.webhook_hosts))
    known_secrets(settings)
    return target

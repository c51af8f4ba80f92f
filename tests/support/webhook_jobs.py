"""Jobs with webhooks: submitted, done, and what became of their webhooks."""

import io
from typing import Any

from flask.testing import FlaskClient
from standardwebhooks.webhooks import Webhook

from tests.support.api import photograph
from tests.support.polling import wait_until
from tests.support.receiver import Heard
from tests.support.work import Work, success
from worker.jobs.records import Lane

RESULT = {"predictions": [{"label": "cat", "score": 0.97}]}
HOSTS = "127.0.0.1,127.0.0.2"


def submit(web: FlaskClient, url: str, **query: Any) -> dict[str, Any]:
    """Submit a prediction with a webhook and return its job."""
    answer = web.post(
        "/v1/predictions",
        query_string={"webhook": url, **query},
        data=photograph(),
        content_type="image/png",
    )
    assert answer.status_code == 202, answer.text
    return dict(answer.get_json())


def finish(work: Work) -> None:
    """Do all that waits."""
    while claim := work.claims.claim((Lane.INTERACTIVE,), 16):
        work.claims.complete(claim, success(claim, RESULT))


def state(web: FlaskClient, job_id: str) -> dict[str, Any]:
    return dict(web.get(f"/v1/jobs/{job_id}").get_json()["webhook"])


def await_state(web: FlaskClient, job_id: str, name: str, *, attempts: int = 1) -> dict[str, Any]:
    def reached() -> dict[str, Any]:
        found = state(web, job_id)
        return found if (found["state"], found["attempts"]) == (name, attempts) else {}

    return wait_until(reached, within_s=20, what=f"the webhook is {name} after {attempts}")


def verified(secret: str, heard: Heard) -> dict[str, Any]:
    """Return what a receiver reads, once the signature has been checked by another's code."""
    return dict(Webhook(secret).verify(heard.body, heard.headers))


def photograph_file() -> io.BytesIO:
    return io.BytesIO(photograph())

"""API keys."""

from typing import Final

from api.described import examples
from api.described.operation import (
    CHANGING,
    JSON,
    POSTED,
    STORED,
    WITH_BODY,
    DescribedOperation,
    json_answer,
)
from worker.contract.keys import Key, KeyList, KeyRequest, NewKey, OwnKey, RenewRequest
from worker.errors import ConflictError, NotFoundError

OPERATIONS: Final = (
    DescribedOperation(
        method="get",
        path="/v1/keys",
        id="list_keys",
        view="keys.index",
        tag="keys",
        summary="List the API keys, oldest first: what they allow, and when they were used.",
        answers=(json_answer(KeyList, examples.KEYS, "All keys"),),
    ),
    DescribedOperation(
        method="post",
        path="/v1/keys",
        id="create_key",
        view="keys.create",
        tag="keys",
        summary="Make an API key.",
        body={JSON: KeyRequest},
        example={"name": "the shop", "scopes": ["submit", "read"], "expires_days": 90},
        answers=(
            json_answer(
                NewKey,
                examples.NEW_KEY,
                "The key, in `key`; it is never shown again",
                status=201,
            ),
        ),
        errors=(*POSTED, *WITH_BODY),
    ),
    DescribedOperation(
        method="get",
        path="/v1/keys/own",
        id="read_own_key",
        view="keys.own",
        tag="keys",
        summary="Say what the request's own key allows.",
        answers=(json_answer(OwnKey, examples.OWN_KEY, "What it allows"),),
        errors=STORED,
    ),
    DescribedOperation(
        method="post",
        path="/v1/keys/{key_id}/renew",
        id="renew_key",
        view="keys.renew",
        tag="keys",
        summary="Make a key anew: it keeps its id, name, scopes and jobs.",
        body={JSON: RenewRequest},
        body_needed=False,
        example={"grace_s": 3600},
        answers=(
            json_answer(NewKey, examples.NEW_KEY, "The key, in `key`; it is never shown again"),
        ),
        errors=(*POSTED, *WITH_BODY, NotFoundError, ConflictError),
    ),
    DescribedOperation(
        method="delete",
        path="/v1/keys/{key_id}",
        id="revoke_key",
        view="keys.revoke",
        tag="keys",
        summary="Revoke a key: within about a second it works nowhere any more.",
        about="Its jobs are kept.",
        answers=(json_answer(Key, examples.KEY, "The key as it is now"),),
        errors=(*CHANGING, NotFoundError),
    ),
)

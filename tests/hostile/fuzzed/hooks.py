"""What schemathesis looks at beside its own checks: what a person and a program are told."""

from typing import Any
from urllib.parse import urlsplit

import schemathesis

from tests.support.conformity import check
from tests.support.sentences import unclear


@schemathesis.check
def told_as_described(ctx: Any, response: Any, case: Any) -> None:
    """Fail where a problem has no sentence for a person, or a code that the document lacks."""
    headers = {name.lower(): values[0] for name, values in response.headers.items()}
    path = urlsplit(str(response.request.url)).path
    check(response.request.method, path, response.status_code, headers, response.content)
    if headers.get("content-type") == "application/problem+json":
        detail = response.json()["detail"]
        wrong = unclear(detail)
        assert wrong is None, f"{wrong}: {detail}"

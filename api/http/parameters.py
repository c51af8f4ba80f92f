"""Reading JSON that clients send."""

import json
from typing import Any

from worker.errors import InvalidRequestError


def parse_json(text: str) -> Any:
    """Return the value of a JSON text; raise `InvalidRequestError` where it is none."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidRequestError(
            f"The request is not valid JSON: {error.msg} in line {error.lineno}, "
            f"column {error.colno}."
        ) from None
    except ValueError:  # Python's limit on the digits of a number
        raise InvalidRequestError("The request's JSON has a number of too many digits.") from None
    except RecursionError:
        raise InvalidRequestError("The request's JSON is nested too deeply.") from None

"""The parameters that stand in paths."""

import re
from typing import Any, Final

from worker.contract.base import ALIAS, JOB_ID, KEY_ID, MODEL_NAME, VERSION

_PARAMETER: Final = re.compile(r"{(\w+)}")
_KNOWN: Final = {
    "job_id": ("The job's id.", JOB_ID, "01m83js4vgje9pmv1qhxyas5j2"),
    "name": ("The model's name.", MODEL_NAME, "cats-dogs"),
    "version": ("A number, or an alias that means one.", VERSION, "1"),
    "alias": ("A lower-case word such as `stable`.", ALIAS, "canary"),
    "key_id": ("The key's id, which is no secret.", KEY_ID, "4f1d0c2b9a8e"),
}


def parameters(path: str) -> list[dict[str, Any]]:
    """Describe the parameters of a path."""
    made = []
    for name in _PARAMETER.findall(path):
        about, pattern, example = _KNOWN[name]
        made.append(
            {
                "name": name,
                "in": "path",
                "required": True,
                "description": about,
                "schema": {"type": "string", "pattern": pattern},
                "example": example,
            }
        )
    return made

"""The environment of processes that work on a stranger's model: nothing that is not known."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

# Of what a system, its libraries and Python are told by. Whatever else there is may be a secret.
_KNOWN = re.compile(
    r"\A(PATH|LANG|LANGUAGE|LC_\w+|TZ|LD_LIBRARY_PATH|LD_PRELOAD|VIRTUAL_ENV|SYSTEMROOT"
    r"|PYTHON(PATH|HOME|HASHSEED|MALLOC|UTF8|DONTWRITEBYTECODE|UNBUFFERED|WARNINGS|NOUSERSITE)"
    r"|(TF|XLA|OMP|KMP|MKL|OPENBLAS|GOTO|DNNL|ONEDNN|ORT|MALLOC|GLIBC)_\w+)\Z"
)
_SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|CREDENTIAL|API_?KEY", re.IGNORECASE)


def environment(folder: Path, base: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return what such a process gets of this one's environment, and `folder` as its home."""
    known = {
        name: value
        for name, value in base.items()
        if _KNOWN.match(name) and not _SECRET.search(name)
    }
    return {**known, "HOME": str(folder), "TMPDIR": str(folder)}

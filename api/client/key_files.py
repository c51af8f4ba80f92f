"""Where a person keeps API keys: in the environment, or in a file that nobody else can read.

A key that stands in a command is in the shell's history and in the list of processes, so there is
no option that takes one. A file may name the server of each key, and the file that is looked for by
itself must: else a key would be sent to any server that its owner is asked to try.
"""

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from api.client.address import server_url
from worker.credentials.api_key import is_secret
from worker.errors import InvalidRequestError

_MOST_BYTES = 64 * 1024
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def api_key(server: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the API key for a server, or nothing where there is none.

    Raises `InvalidRequestError` where a file cannot be used, with what to type.
    """
    given = environment.get("PERMAFROST_API_KEY", "").strip()
    if given:
        return given
    named = environment.get("PERMAFROST_API_KEY_FILE", "")
    path = Path(named).expanduser() if named else usual_file(environment)
    if not named and not path.exists():
        return ""
    wanted = server_url(server)
    for url, secret in _rows(path):
        if not url and not named:
            raise InvalidRequestError(
                f"{path}: each line must begin with the URL of the server that the key is for, "
                "such as `http://127.0.0.1:8000 pf_...`."
            )
        if not url or server_url(url) == wanted:
            return secret
    return ""


def usual_file(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the file that is looked for where none is named."""
    base = environment.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(base).expanduser() / "permafrost" / "keys"


def remember(server: str, secret: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Write a key into the file that is looked for, in the place of the server's last one."""
    path, wanted = usual_file(environment), server_url(server)
    rows = list(_rows(path)) if path.exists() else []
    rows = [(url, known) for url, known in rows if not url or server_url(url) != wanted]
    lines = [f"{url} {known}".strip() for url, known in [*rows, (wanted, secret)]]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write("".join(f"{line}\n" for line in lines))
    staged.replace(path)
    return path


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    """Give URL and key of each line; the URL is empty where the line has none."""
    try:
        with path.open(encoding="utf-8") as file:
            if os.fstat(file.fileno()).st_mode & _OTHERS:
                raise InvalidRequestError(
                    f"Others can read the API key in {path}: type `chmod 600 {path}`, and if "
                    "others use this machine, have the key renewed."
                )
            text = file.read(_MOST_BYTES)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InvalidRequestError(f"The API key file {path} cannot be read: {reason}.") from None
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) > 2 or not is_secret(words[-1]):
            raise InvalidRequestError(
                f"Line {number} of {path} is no API key: it must be one, or the URL of a server "
                "and one."
            )
        yield (words[0] if len(words) == 2 else ""), words[-1]

"""The Lua scripts: each moves something that must move in one atomic step."""

import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Any

import redis

from worker.jobs.keys import lua_builders

_PART = re.compile(r"\n+(?=local )")
_MADE = re.compile(r"^local (?:function )?(\w+)", re.MULTILINE)  # functions, tables and variables
_COMMENT = re.compile(r"^--.*\n|[ \t]*--.*$", re.MULTILINE)
_KEY = re.compile(r"\bK\.(\w+)")


@cache
def source(name: str) -> str:
    """Return the script `name` as Redis is given it: with what it uses of what scripts share.

    Redis makes all of a script's functions anew whenever it runs it.
    """
    folder = files(__package__)
    text, shared = (
        _COMMENT.sub("", (folder / f"{file}.lua").read_text()) for file in (name, "shared")
    )
    for part in reversed(_PART.split(shared)):
        if any(re.search(rf"\b{made}\b", text) for made in _MADE.findall(part)):
            text = f"{part}\n\n{text}"
    return lua_builders(set(_KEY.findall(text))) + text


@cache
def digest(name: str) -> str:
    """Return the name by which Redis knows the script `name` once it was loaded."""
    return hashlib.sha1(source(name).encode(), usedforsecurity=False).hexdigest()


class Scripts:
    """Runs scripts by name on one client; Redis keeps them compiled after the first call."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def run(self, name: str, *args: str | bytes | int | float) -> Any:
        """Run the script `name` with `args` as its ARGV and return Redis's answer."""
        try:
            return self._client.execute_command("EVALSHA", digest(name), 0, *args)
        except redis.exceptions.NoScriptError:  # of a Redis that was started meanwhile
            self._client.script_load(source(name))
            return self._client.execute_command("EVALSHA", digest(name), 0, *args)

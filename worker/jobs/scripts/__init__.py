"""The Lua scripts: each moves something that must move in one atomic step."""

from functools import cache
from importlib.resources import files
from typing import Any

import redis

from worker.jobs.keys import lua_builders


@cache
def source(name: str) -> str:
    """Return the script `name` as Redis is given it."""
    folder = files(__package__)
    shared = (folder / "shared.lua").read_text()
    return lua_builders() + shared + (folder / f"{name}.lua").read_text()


class Scripts:
    """Runs scripts by name on one client; Redis keeps them compiled after the first call."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._registered: dict[str, Any] = {}

    def run(self, name: str, *args: str | bytes | int | float) -> Any:
        """Run the script `name` with `args` as its ARGV and return Redis's answer."""
        script = self._registered.get(name)
        if script is None:
            script = self._registered[name] = self._client.register_script(source(name))
        return script(args=list(args))

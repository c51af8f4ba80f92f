"""The Lua scripts: each moves something that must move in one atomic step.

The head of a script is the one table of its arguments. `-- ARG name` declares an argument, which
the script reads as `ARG.name` and the caller passes as `name=`; `-- EACH name, ...` declares what
is repeated at the end. `source` writes these as places in ARGV before Redis sees the script, so
that names cost nothing when it runs:

    for n = EACH_FIRST, #ARGV, EACH_STEP do redis.call('DEL', EACH.name) end
"""

import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import redis

from worker.jobs.keys import lua_builders

_PART = re.compile(r"\n+(?=local )")
_MADE = re.compile(r"^local (?:function )?(\w+)", re.MULTILINE)  # functions, tables and variables
_COMMENT = re.compile(r"^--.*\n|[ \t]*--.*$", re.MULTILINE)
_KEY = re.compile(r"\bK\.(\w+)")
_DECLARED = re.compile(r"^-- (ARG|EACH) ([\w, ]+)", re.MULTILINE)
_NAMED = re.compile(r"\b(ARG|EACH)\.(\w+)|\bEACH_(FIRST|STEP)\b")

Argument = str | bytes | int | float


class Arguments(NamedTuple):
    """The names of a script's arguments, as its head declares them."""

    once: tuple[str, ...]
    each: tuple[str, ...]  # of one repetition

    def in_argv(self, used: re.Match[str]) -> str:
        """Return Lua for a name that a script uses; raise `ValueError` for one it lacks."""
        kind, name, constant = used.groups()
        first = len(self.once) + 1
        if constant is not None:
            return str(first if constant == "FIRST" else len(self.each))
        if kind == "ARG":
            return f"ARGV[{self.once.index(name) + 1}]"
        place = self.each.index(name)
        return f"ARGV[n + {place}]" if place else "ARGV[n]"


class Call(NamedTuple):
    """A script and its ARGV."""

    script: str
    argv: tuple[Argument, ...]


def _text(name: str) -> str:
    return (files(__package__) / f"{name}.lua").read_text()


@cache
def arguments(name: str) -> Arguments:
    """Return what the script `name` takes."""
    declared = [(kind, names.split(", ")) for kind, names in _DECLARED.findall(_text(name))]
    once, each = (
        tuple(one for kind, names in declared if kind == wanted for one in names)
        for wanted in ("ARG", "EACH")
    )
    return Arguments(once, each)


@cache
def source(name: str) -> str:
    """Return the script `name` as Redis is given it: with those parts of `shared.lua` that it uses.

    Redis creates all of a script's functions anew whenever it runs it.
    """
    text, shared = (_COMMENT.sub("", _text(file)) for file in (name, "shared"))
    for part in reversed(_PART.split(shared)):
        if any(re.search(rf"\b{made}\b", text) for made in _MADE.findall(part)):
            text = f"{part}\n\n{text}"
    text = _NAMED.sub(arguments(name).in_argv, text)
    return lua_builders(set(_KEY.findall(text))) + text


@cache
def digest(name: str) -> str:
    """Return the name by which Redis knows the script `name` once it was loaded."""
    return hashlib.sha1(source(name).encode(), usedforsecurity=False).hexdigest()


def call(name: str, /, *each: Argument, **once: Argument) -> Call:
    """Return the call of a script with all of its arguments by name, and what is repeated.

    Raises `TypeError` where an argument is missing or unknown.
    """
    names = arguments(name).once
    if len(once) == len(names):
        try:
            return Call(name, (*[once[one] for one in names], *each))
        except KeyError:
            pass
    raise TypeError(f"The script {name} takes {', '.join(names)}, not {', '.join(once)}.")


class Scripts:
    """Runs scripts by name on one client; Redis keeps them compiled after the first call."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def run(self, name: str, /, *each: Argument, **once: Argument) -> Any:
        """Run a script with arguments as `call` takes them, and return Redis's answer."""
        return self.execute(call(name, *each, **once))

    def execute(self, made: Call) -> Any:
        """Run the script of a call, and return Redis's answer."""
        name, argv = made
        try:
            return self._client.execute_command("EVALSHA", digest(name), 0, *argv)
        except redis.exceptions.NoScriptError:  # of a Redis that was started meanwhile
            self._client.script_load(source(name))
            return self._client.execute_command("EVALSHA", digest(name), 0, *argv)

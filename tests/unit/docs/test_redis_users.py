"""The users of docs/redis.md may run what the scripts of their programs run, as the code is now."""

import re
from functools import cache

import pytest

from tests.support.system import ROOT
from worker.jobs.scripts import source

SCRIPTS = ROOT / "worker" / "jobs" / "scripts"
ACL = re.findall(r"```acl\n(.*?)```", (ROOT / "docs" / "redis.md").read_text(), re.DOTALL)[0]
WORKERS = {
    *("append", "bury", "claim", "clean", "complete", "forget", "release", "renew", "report"),
    "sweep",
}
USED = {
    "api": {
        *("accept", "append", "backlog", "break_off", "cancel", "clean", "drop_pieces", "keep"),
        *("retry", "seal", "spend", "store_piece"),
    },
    "inference": WORKERS,
    "freezing": WORKERS,
    "webhooks": {"deliver", "delivered", "report"},
}


@cache
def functions() -> dict[str, str]:
    """Return the functions that the scripts share, by name."""
    shared = (SCRIPTS / "shared.lua").read_text()
    found = re.finditer(r"^local function (\w+)\(.*?^end", shared, re.DOTALL | re.MULTILINE)
    return {match[1]: match[0] for match in found}


def commands(script: str) -> set[str]:
    """Return every command that a script may run, in the functions that it reaches too."""
    found: set[str] = set()
    reached: set[str] = set()
    texts = [(SCRIPTS / f"{script}.lua").read_text()]
    while texts:
        text = texts.pop()
        found |= {name.lower() for name in re.findall(r"redis\.call\('([A-Za-z]+)'", text)}
        for name, body in functions().items():
            if name not in reached and re.search(rf"\b{name}\(", text):
                reached.add(name)
                texts.append(body)
    return found


def allowed(user: str) -> set[str]:
    """Return the commands that the page allows a user."""
    (line,) = [row for row in ACL.splitlines() if row.startswith(f"user {user} ")]
    return set(re.findall(r"\+([a-z|]+)", line))


def test_every_script_belongs_to_a_program() -> None:
    known = set().union(*USED.values())
    assert known == {path.stem for path in SCRIPTS.glob("*.lua")} - {"shared"}


@pytest.mark.parametrize("user", USED)
def test_users_may_run_what_their_scripts_do(user: str) -> None:
    needed = set().union(*(commands(script) for script in USED[user]))
    assert needed - allowed(user) == set(), f"add them to the user {user} in docs/redis.md"
    assert source("claim"), "the scripts are those that Redis is given"

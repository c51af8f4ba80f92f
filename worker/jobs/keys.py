"""Every Redis key, built here and nowhere else; Lua scripts get the same builders.

| key | type | holds |
| --- | --- | --- |
| `job:ID` | hash | the record of a job |
| `jobs:KIND:STATUS` | sorted set | ids of jobs, all of score 0, so in order of age |
| `owned:OWNER:KIND:STATUS` | sorted set | the same, of the jobs that one API key made |
| `upload:ID:NUMBER` | string | bytes of one image |
| `files:ID` | hash | uploaded files of a source: name -> size in bytes |
| `chunk:ID:FILE:NUMBER` | string | a piece of one of these files; FILE is its place |
| `pieces:ID` | hash | pieces of files that no job was accepted for yet -> bytes; `@client` whose |
| `arriving` | sorted set | jobs to which these pieces are to belong, by when they are given up |
| `held` | hash | bytes of uploads that lie here for one client |
| `kept` | sorted set | `ID:NUMBER:BYTES:CLIENT` of uploads that outlive their item, by until when |
| `purge` | set | batches that ended early, of which uploads are still to be deleted |
| `log:ID` | list | lines that a freeze reports |
| `items:ID` | hash | images of a batch: number -> path |
| `results:ID` | hash | what became of them: number -> `r` or `e` and JSON |
| `failures:ID` | set | numbers of those that failed and can be tried again |
| `known:ID` | set | digests of the paths that a batch has, while it is open |
| `seen:ID` | hash | digest of an image's bytes -> number of its first item, while it runs |
| `labels:ID` | hash | how often each label came first |
| `queue:LANE:TARGET` | list | items that wait; TARGET is `NAME@VERSION#DIGEST[/ID]` or `-` |
| `lane:LANE` | sorted set | targets of which items wait, by when they were last served |
| `ticket:LANE` | string | present while a ticket is on its way |
| `waiting:LANE` | sorted set | worker processes that wait to be called, by until when they do |
| `call:WORKER` | list | lanes that such a process is called to |
| `claim:NUMBER` | hash | items that a worker holds: item -> attempts; `@...` fields describe it |
| `claims` | counter | the last claim's number, which is its fencing token |
| `leases` | sorted set | claims by the time until which they hold |
| `open` | sorted set | batches to which requests add, by when they are given up |
| `expiry` | sorted set | ended jobs by the time at which they are forgotten |
| `expired` | sorted set | forgotten jobs by when they were, the newest only: `ID`, `ID:OWNER` |
| `idempotency:DIGEST` | string | the job that a key was first used for |
| `rate:CLIENT` | hash | what one client may still submit: `tokens`, and `at` when |
| `key:ID` | hash | what is known of an API key, but for the key itself |
| `keys` | sorted set | ids of API keys by when they were made |
| `secrets` | hash | SHA-256 of an API key -> what it allows (JSON) |
| `guarded` | string | there from when the first API key was made |
| `session:DIGEST` | string | SHA-256 of the API key that a browser signed in with |
| `worker:ID` | string | what a worker process last said of itself |
| `workers` | sorted set | worker processes by when they last said something |
| `serving:LANE` | sorted set | of them, those that are ready for a lane's work, by when they were |
| `generation` | counter | goes up whenever the registry changes |
| `aside` | hash | versions that no worker loads: `NAME@VERSION` -> why (JSON) |
| `strikes:NAME@VERSION` | counter | worker processes that runs of a version cost within an hour |
| `proven` | hash | versions that were tried: `NAME@VERSION` -> what was measured (JSON) |
| `sweeper` | string | lock: who sweeps |
| `swept` | string | when the last sweep was |
| `webhook:DELIVERY` | hash | an ending to tell a receiver of; DELIVERY is `ID-NUMBER` |
| `webhooks:HOST` | sorted set | deliveries to one host, by when they are due or their lease ends |
| `receivers` | sorted set | hosts with deliveries, by when the next one is due |
| `due` | list | has one entry where a delivery has become due |
| `totals` | hash | counters for monitoring |
| `ended` | channel | ids of jobs as they end, a prediction's with its record after it (JSON) |

One key is the broker's, and has no prefix: `LANE`, a list of the tickets that no worker has taken.
"""

import re
from collections.abc import Collection

from worker.errors import NotFoundError

PREFIX = "permafrost:"

# Templates, for Python and Lua alike: `%s` stands for one part.
TEMPLATES = {
    "job": "job:%s",
    "index": "jobs:%s:%s",
    "owned": "owned:%s:%s:%s",
    "upload": "upload:%s:%s",
    "files": "files:%s",
    "chunk": "chunk:%s:%s:%s",
    "pieces": "pieces:%s",
    "arriving": "arriving",
    "held": "held",
    "kept": "kept",
    "purge": "purge",
    "log": "log:%s",
    "items": "items:%s",
    "results": "results:%s",
    "failures": "failures:%s",
    "known": "known:%s",
    "seen": "seen:%s",
    "labels": "labels:%s",
    "queue": "queue:%s:%s",
    "lane": "lane:%s",
    "ticket": "ticket:%s",
    "waiting": "waiting:%s",
    "call": "call:%s",
    "claim": "claim:%s",
    "claims": "claims",
    "leases": "leases",
    "open": "open",
    "expiry": "expiry",
    "expired": "expired",
    "idempotency": "idempotency:%s",
    "rate": "rate:%s",
    "api_key": "key:%s",
    "api_keys": "keys",
    "secrets": "secrets",
    "guarded": "guarded",
    "session": "session:%s",
    "worker": "worker:%s",
    "workers": "workers",
    "serving": "serving:%s",
    "generation": "generation",
    "aside": "aside",
    "strikes": "strikes:%s",
    "proven": "proven",
    "sweeper": "sweeper",
    "swept": "swept",
    "webhook": "webhook:%s",
    "webhooks": "webhooks:%s",
    "receivers": "receivers",
    "due": "due",
    "totals": "totals",
    "ended": "ended",
    "tickets": "%s",
}
_THE_BROKERS = frozenset({"tickets"})

_JOB_ID = re.compile(r"[0-9a-hjkmnp-tv-z]{26}\Z")


def _template(name: str) -> str:
    return TEMPLATES[name] if name in _THE_BROKERS else PREFIX + TEMPLATES[name]


def key(name: str, *parts: str | int) -> str:
    """Return the key `name` for `parts`, which must have been checked."""
    return _template(name) % parts


def is_job_id(text: str) -> bool:
    """Whether `text` has the form of a job's id."""
    return _JOB_ID.match(text) is not None


def check_job_id(job_id: str) -> str:
    """Return `job_id`; raise `NotFoundError` where it cannot be one, before it enters a key."""
    if not is_job_id(job_id):
        raise NotFoundError(f"There is no job '{job_id[:80]}'.")
    return job_id


def lua_builders(names: Collection[str]) -> str:
    """Return Lua source that defines the same builders: `K.job(id)`, `K.index(kind, status)`."""
    lines = ["local K = {}"]
    for name in sorted(names):
        first, *others = _template(name).split("%s")
        parts = [f"p{n}" for n in range(len(others))]
        value = "".join(
            [
                f'"{first}"',
                *(f' .. {part} .. "{text}"' for part, text in zip(parts, others, strict=True)),
            ]
        )
        lines.append(f"function K.{name}({', '.join(parts)}) return {value} end")
    return "\n".join(lines) + "\n"

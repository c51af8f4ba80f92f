"""Notes every item that a worker process worked on to the end, before it is written to Redis.

One line of JSON per claim is appended to `witness.jsonl` in the data folder. It is written before
Redis hears of the outcome, so a process that is killed has told of all its work.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker.jobs.claims import Claim, Claims
from worker.jobs.records import Item, Outcome
from worker.pool.claims import ProcessClaims

# Opened before processes are forked, which may open nothing to write to later.
_FILE = (Path(os.environ["PERMAFROST_DATA"]) / "witness.jsonl").open("ab", buffering=0)
_finish, _complete = ProcessClaims.finish, Claims.complete


def _note(**line: Any) -> None:
    _FILE.write(json.dumps({"pid": os.getpid(), **line}).encode() + b"\n")


def _noted_finish(self: ProcessClaims, claim: Claim, outcomes: Mapping[Item, Outcome]) -> None:
    images = {
        item.key: {"result": outcome.result, "error": outcome.error}
        for item, outcome in outcomes.items()
        if not isinstance(outcome.result, int)  # of the listing of a folder
    }
    _note(claim=claim.number, ran=images)
    _finish(self, claim, outcomes)


def _noted_complete(self: Claims, claim: Claim, outcomes: Mapping[Item, Outcome]) -> list[str]:
    refused = _complete(self, claim, outcomes)
    if refused:
        _note(claim=claim.number, refused=refused)
    return refused


ProcessClaims.finish = _noted_finish  # type: ignore[method-assign] # to be in between
Claims.complete = _noted_complete  # type: ignore[method-assign]

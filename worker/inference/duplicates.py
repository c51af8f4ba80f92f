"""Duplicates: images of a batch that have the same bytes are classified once."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace

import redis
import structlog

from worker.jobs.batches import Batches
from worker.jobs.claims import ClaimedItem
from worker.jobs.records import Item, Kind, Outcome

_log = structlog.get_logger(__name__)

Outcomes = dict[Item, Outcome]


def classify_once(
    batches: Batches,
    items: tuple[ClaimedItem, ...],
    classify: Callable[[tuple[ClaimedItem, ...]], Outcomes],
) -> Outcomes:
    """Classify what is neither known from earlier nor twice among `items`, and share the results.

    Items of other kinds of jobs than batches are always classified. Where two workers meet the same
    bytes at the same moment, both classify them.
    """
    digests = {
        claimed.item: hashlib.blake2b(claimed.upload, digest_size=16).digest()
        for claimed in items
        if claimed.kind is Kind.BATCH and claimed.upload
    }
    if not digests:
        return classify(items)
    outcomes = _known(batches, digests)
    firsts: dict[tuple[str, bytes], Item] = {}
    fresh = []
    for claimed in items:
        item = claimed.item
        if item in outcomes:
            continue
        digest = digests.get(item)
        if digest is None or firsts.setdefault((item.job_id, digest), item) == item:
            fresh.append(claimed)
    if fresh:
        outcomes.update(classify(tuple(fresh)))
    for item, digest in digests.items():
        first = firsts.get((item.job_id, digest))
        if first is None:
            continue
        outcomes[item] = outcomes[first] if item != first else _named(outcomes[item], digest)
    return outcomes


def _known(batches: Batches, digests: Mapping[Item, bytes]) -> Outcomes:
    by_job: defaultdict[str, list[Item]] = defaultdict(list)
    for item in digests:
        by_job[item.job_id].append(item)
    outcomes: Outcomes = {}
    for job_id, items in by_job.items():
        try:
            results = batches.seen(job_id, [digests[item] for item in items])
        except redis.RedisError as error:  # then they are classified again, which costs less
            _log.warning("duplicates unknown", action="duplicates_unknown", error=str(error))
            continue
        for item, result in zip(items, results, strict=True):
            if result is not None:
                outcomes[item] = Outcome(result=result, label=result[0][0] if result else "")
    return outcomes


def _named(outcome: Outcome, digest: bytes) -> Outcome:
    return outcome if outcome.error else replace(outcome, digest=digest)

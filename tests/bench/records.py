"""Records of ended jobs in any number: copies of real ones, under new ids."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import redis

from worker.jobs.keys import TEMPLATES, lua_builders
from worker.jobs.records import Job

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_AT_ONCE = 500  # copies made in one step
_COPY = """
local template, kind, status = ARGV[1], ARGV[2], ARGV[3]
local taken_ms, ttl_ms = tonumber(ARGV[4]), tonumber(ARGV[5])
local belongings = {}
for _, name in ipairs({'log', 'items', 'results', 'failures', 'labels'}) do
  if redis.call('EXISTS', K[name](template)) == 1 then belongings[#belongings + 1] = name end
end
for n = 6, #ARGV, 2 do
  local id, created = ARGV[n], tonumber(ARGV[n + 1])
  local expires = created + taken_ms + ttl_ms
  redis.call('COPY', K.job(template), K.job(id))
  redis.call('HSET', K.job(id), 'created', created, 'started', created, 'finished',
    created + taken_ms, 'expires', expires)
  redis.call('PEXPIREAT', K.job(id), expires + 3600000)
  for _, name in ipairs(belongings) do
    redis.call('COPY', K[name](template), K[name](id))
    redis.call('PEXPIREAT', K[name](id), expires + 3600000)
  end
  redis.call('ZADD', K.index(kind, status), 0, id)
  redis.call('ZADD', K.expiry(), expires, id)
end
return redis.status_reply('OK')
"""


@dataclass(frozen=True, kw_only=True)
class Template:
    """An ended job that is copied, and how many of a thousand records are copies of it."""

    job: Job
    per_mille: int


def fill(client: redis.Redis, templates: Sequence[Template], count: int, ttl_s: int) -> list[str]:
    """Make `count` records and return their ids, oldest first.

    They were accepted at even intervals over the first five sixths of `ttl_s`, the time that ended
    jobs are kept, so that none of them is due yet. What belongs to a job is copied with it.
    """
    script = client.register_script(lua_builders(TEMPLATES) + _COPY)
    turns = [template for template in templates for _ in range(template.per_mille)]
    shares: dict[str, list[str | int]] = {template.job.id: [] for template in templates}
    ids = []

    def copy(template: Template) -> None:
        job, rows = template.job, shares[template.job.id]
        taken_ms = (job.finished_ms or job.created_ms) - job.created_ms
        script(args=[job.id, job.kind, job.status, taken_ms, ttl_s * 1000, *rows])
        rows.clear()

    for number, (job_id, created_ms) in enumerate(_new(count, ttl_s * 1000)):
        ids.append(job_id)
        # A step without a factor in common with a thousand mixes the templates evenly.
        template = turns[number * 619 % len(turns)]
        shares[template.job.id] += [job_id, created_ms]
        if len(shares[template.job.id]) >= 2 * _AT_ONCE:
            copy(template)
    for template in templates:
        if shares[template.job.id]:
            copy(template)
    return ids


def _new(count: int, ttl_ms: int) -> Iterator[tuple[str, int]]:
    """Give ids in order of time, as `new_job_id` makes them, each with its time in ms."""
    now_ms = time.time_ns() // 1_000_000
    first_ms = now_ms - ttl_ms * 5 // 6
    for number in range(count):
        created_ms = first_ms + (now_ms - 60_000 - first_ms) * number // count
        # What is random in a real id only has to differ here.
        yield _base32(created_ms, 10) + _base32(number * 0x9E3779B97F4A7C15 % 2**80, 16), created_ms


def _base32(value: int, length: int) -> str:
    """Return a number in Crockford's alphabet, as ULIDs are written."""
    digits = []
    for _ in range(length):
        value, digit = divmod(value, 32)
        digits.append(_CROCKFORD[digit])
    return "".join(reversed(digits))

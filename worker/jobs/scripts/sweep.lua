-- Repair what the death of a process left behind: dead claims go back to their queues, lost tickets
-- are named for sending, jobs that waited too long fail, ended jobs whose time has passed are
-- forgotten. Bounded, so that one call stays short; the next sweep goes on.
--
-- ARGV: max attempts, result ttl in ms, queue ttl in ms, tombstone ttl in ms, ticket_ms, bound,
--       open batch ttl in ms, lanes ...
-- Returns {claims taken back, jobs timed out, jobs forgotten, lanes that need a ticket}.
local max_attempts, ttl_ms, queue_ms = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local bound = tonumber(ARGV[6])
local now = now_ms()

local dead = redis.call('ZRANGEBYSCORE', K.leases(), '-inf', now, 'LIMIT', 0, bound)
for _, claim in ipairs(dead) do
  redis.call('ZREM', K.leases(), claim)
  local rows = redis.call('HGETALL', K.claim(claim))
  local about = {}
  for n = 1, #rows, 2 do
    if string.sub(rows[n], 1, 1) == '@' then about[rows[n]] = rows[n + 1] end
  end
  for n = 1, #rows, 2 do
    if string.sub(rows[n], 1, 1) ~= '@' then
      requeue(rows[n], tonumber(rows[n + 1]), about['@lane'], about['@target'], max_attempts,
        'worker ' .. about['@worker'] .. ' died or stopped answering while it had the work.', ttl_ms)
    end
  end
  redis.call('DEL', K.claim(claim))
end

local late = 0
for _, kind in ipairs({'prediction', 'freeze', 'inspection'}) do
  -- The oldest come first, so a look at the first few is enough.
  for _, id in ipairs(redis.call('ZRANGE', K.index(kind, 'queued'), 0, bound - 1)) do
    local created = tonumber(redis.call('HGET', K.job(id), 'created') or now)
    if now - created < queue_ms then break end
    write_outcome(id, 0, 'error', failure('timed_out',
      'No worker took the job within ' .. math.floor(queue_ms / 1000) .. ' s.'), '', '', ttl_ms)
    late = late + 1
  end
end

-- Batches that were opened and left: what was added is done, nothing more will come.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.open(), '-inf', now - tonumber(ARGV[7]),
    'LIMIT', 0, bound)) do
  redis.call('ZREM', K.open(), id)
  if redis.call('EXISTS', K.job(id)) == 1 then
    redis.call('HSET', K.job(id), 'sealed', 1)
    end_batch_if_done(id, ttl_ms)
  end
end

local old = redis.call('ZRANGEBYSCORE', K.expiry(), '-inf', now, 'LIMIT', 0, bound)
for _, id in ipairs(old) do
  local job = redis.call('HMGET', K.job(id), 'kind', 'status')
  if job[1] then
    redis.call('ZREM', K.index(job[1], job[2]), id)
  else -- no sweeper ran for an hour and the record expired by itself: it is in one of these
    for _, kind in ipairs({'prediction', 'batch', 'freeze', 'inspection'}) do
      for _, status in ipairs({'succeeded', 'failed', 'cancelled'}) do
        redis.call('ZREM', K.index(kind, status), id)
      end
    end
  end
  redis.call('UNLINK', K.job(id), unpack(belongings(id)))
  redis.call('ZREM', K.expiry(), id)
  redis.call('ZADD', K.expired(), now, id)
end
redis.call('ZREMRANGEBYSCORE', K.expired(), '-inf', now - tonumber(ARGV[4]))

local lanes = {}
for n = 8, #ARGV do
  if ticket_needed(ARGV[n], ARGV[5]) then lanes[#lanes + 1] = ARGV[n] end
end
return {#dead, late, #old, lanes}

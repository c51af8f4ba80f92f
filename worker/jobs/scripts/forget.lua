-- Forget ended jobs whose time has passed, the oldest first, and after longer still that they were
-- forgotten. Bounded, so that everybody else is served between two calls: of jobs that ended within
-- one second there may be thousands. It begins by removing, so that it works on a full Redis too.
--
-- ARGV: tombstone ttl in ms, bound.
-- Returns {jobs forgotten, 1 if more may have to go at once}.
local now, bound = now_ms(), tonumber(ARGV[2])
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

local tombstones = redis.call('ZRANGEBYSCORE', K.expired(), '-inf', now - tonumber(ARGV[1]), 'LIMIT', 0,
  bound)
if #tombstones > 0 then redis.call('ZREM', K.expired(), unpack(tombstones)) end
return {#old, (#old == bound or #tombstones == bound) and 1 or 0}

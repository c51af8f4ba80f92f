-- Forget ended jobs whose time has passed, the oldest first, and after longer still that they were
-- forgotten. Bounded, so that everybody else is served between two calls: of jobs that ended within
-- one second there may be thousands. It begins by removing, so that it works on a full Redis too.
-- Few commands with many keys each, because every command is written to the append-only file.
--
-- ARGV: tombstone ttl in ms, bound.
-- Returns {jobs forgotten, 1 if more may have to go at once}.
local now, bound = now_ms(), tonumber(ARGV[2])
local old = redis.call('ZRANGEBYSCORE', K.expiry(), '-inf', now, 'LIMIT', 0, bound)
local records, tombstones, listed = {}, {}, {} -- `listed`: ids by the index that they are in

local function leave(index, id)
  listed[index] = listed[index] or {}
  table.insert(listed[index], id)
end

for _, id in ipairs(old) do
  local job = redis.call('HMGET', K.job(id), 'kind', 'status')
  if job[1] then
    leave(K.index(job[1], job[2]), id)
  else -- no sweeper ran for an hour and the record expired by itself: it is in one of these
    for _, kind in ipairs({'prediction', 'batch', 'freeze', 'inspection'}) do
      for _, status in ipairs({'succeeded', 'failed', 'cancelled'}) do
        leave(K.index(kind, status), id)
      end
    end
  end
  table.insert(records, K.job(id))
  for _, belonging in ipairs(belongings(id)) do
    if redis.call('EXISTS', belonging) == 1 then table.insert(records, belonging) end
  end
  table.insert(tombstones, now)
  table.insert(tombstones, id)
end
if #old > 0 then
  for index, ids in pairs(listed) do redis.call('ZREM', index, unpack(ids)) end
  redis.call('UNLINK', unpack(records))
  redis.call('ZREM', K.expiry(), unpack(old))
  redis.call('ZADD', K.expired(), unpack(tombstones))
end

local forgotten = redis.call('ZRANGEBYSCORE', K.expired(), '-inf', now - tonumber(ARGV[1]), 'LIMIT', 0,
  bound)
if #forgotten > 0 then redis.call('ZREM', K.expired(), unpack(forgotten)) end
return {#old, (#old == bound or #forgotten == bound) and 1 or 0}

-- Forget ended jobs whose time has passed, the oldest first. That they existed is remembered for some
-- time longer. Bounded, so that everybody else is served between two calls: of jobs that ended within
-- one second there may be thousands. It begins by removing, so that it works on a full Redis too.
-- Few commands with many keys each, because every command is written to the append-only file.
--
-- ARG tombstone_ms: for which it is remembered that a job was forgotten
-- ARG bound: jobs that are forgotten at most
-- Returns {jobs forgotten, 1 if more may have to go at once}.
local now, bound = now_ms(), tonumber(ARG.bound)
local old = redis.call('ZRANGEBYSCORE', K.expiry(), '-inf', now, 'LIMIT', 0, bound)
local tombstones, gone = {}, {}
local listed = {} -- kind -> status -> ids
local owned = {} -- API key -> the same of its jobs

local function leave(listing, kind, status, id)
  listing[kind] = listing[kind] or {}
  listing[kind][status] = listing[kind][status] or {}
  table.insert(listing[kind][status], id)
end

for n, id in ipairs(old) do
  local job = redis.call('HMGET', K.job(id), 'kind', 'status', 'owner')
  if job[1] then
    leave(listed, job[1], job[2], id)
    if job[3] then
      owned[job[3]] = owned[job[3]] or {}
      leave(owned[job[3]], job[1], job[2], id)
      table.insert(tombstones, now)
      table.insert(tombstones, id .. ':' .. job[3])
    end
  else -- no sweeper ran for an hour and the record expired by itself: it is in one of these
    for _, kind in ipairs({'prediction', 'batch', 'freeze', 'inspection', 'comparison'}) do
      for _, status in ipairs({'succeeded', 'failed', 'cancelled'}) do leave(listed, kind, status, id) end
    end
  end
  if n > 1 then table.insert(gone, K.job(id)) end
  for _, belonging in ipairs(belongings(id)) do
    if redis.call('EXISTS', belonging) == 1 then table.insert(gone, belonging) end
  end
  table.insert(tombstones, now)
  table.insert(tombstones, id)
end
if #old > 0 then
  for kind, by_status in pairs(listed) do
    for status, ids in pairs(by_status) do redis.call('ZREM', K.index(kind, status), unpack(ids)) end
  end
  for owner, listing in pairs(owned) do
    for kind, by_status in pairs(listing) do
      for status, ids in pairs(by_status) do
        redis.call('ZREM', K.owned(owner, kind, status), unpack(ids))
      end
    end
  end
  redis.call('UNLINK', K.job(old[1]), unpack(gone))
  redis.call('ZREM', K.expiry(), unpack(old))
  redis.call('ZADD', K.expired(), unpack(tombstones))
end

local forgotten = redis.call('ZRANGEBYSCORE', K.expired(), '-inf', now - tonumber(ARG.tombstone_ms), 'LIMIT', 0,
  bound)
if #forgotten > 0 then redis.call('ZREM', K.expired(), unpack(forgotten)) end
return {#old, (#old == bound or #forgotten == bound) and 1 or 0}

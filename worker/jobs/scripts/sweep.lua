-- Repair what the death of a process left behind: dead claims go back to their queues, entries of
-- ended jobs leave theirs, jobs that waited too long fail, batches that nobody adds to are sealed,
-- lost tickets are named for sending. Bounded, so that one call stays short; the next sweep goes on. A
-- lock that is left to expire lets all processes together sweep once per interval.
--
-- ARG worker: its id
-- ARG interval_ms: between two sweeps
-- ARG lease_ms
-- ARG max_attempts
-- ARG result_ms: for which results are kept
-- ARG queue_ms: for which a job may wait
-- ARG most_tombstones: forgotten jobs that are remembered
-- ARG ticket_ms: after which a ticket that is on its way is taken for lost
-- ARG bound: of each kind of repair
-- EACH lane
-- Returns nil where another process swept within the interval, or {claims taken back, jobs timed
-- out, lanes that need a ticket}.
if redis.call('EXISTS', K.sweeper()) == 1 then return nil end
local interval_ms, lease_ms = tonumber(ARG.interval_ms), tonumber(ARG.lease_ms)
local max_attempts, ttl_ms = tonumber(ARG.max_attempts), tonumber(ARG.result_ms)
local queue_ms, bound = tonumber(ARG.queue_ms), tonumber(ARG.bound)
local now = now_ms()
-- First, because it only removes: a full Redis must be swept too.
redis.call('ZREMRANGEBYRANK', K.expired(), 0, -1 - tonumber(ARG.most_tombstones))
redis.call('SET', K.sweeper(), ARG.worker, 'PX', interval_ms)

-- Where no sweep took place for so long, Redis was down or no worker ran. Workers that live could not
-- renew their claims meanwhile, so each claim gets one more lease before it is taken back.
local last = tonumber(redis.call('GET', K.swept()) or now)
if now - last > lease_ms + interval_ms then
  for _, claim in ipairs(redis.call('ZRANGEBYSCORE', K.leases(), '-inf', now)) do
    redis.call('ZADD', K.leases(), now + lease_ms, claim)
  end
end
redis.call('SET', K.swept(), now)

local dead = redis.call('ZRANGEBYSCORE', K.leases(), '-inf', now, 'LIMIT', 0, bound)
for _, claim in ipairs(dead) do bury(claim, max_attempts, ttl_ms) end

-- Examine the heads of the queues, where the oldest items are. A batch may wait for any time.
local late, dropped = 0, 0
for n = EACH_FIRST, #ARGV do
  local lane = EACH.lane
  for _, target in ipairs(redis.call('ZRANGE', K.lane(lane), 0, bound - 1)) do
    local queue = K.queue(lane, target)
    while late + dropped < bound do
      local entry = redis.call('LINDEX', queue, 0)
      if not entry then
        redis.call('ZREM', K.lane(lane), target)
        break
      end
      local id, number = split_entry(entry)
      local job = redis.call('HMGET', K.job(id), 'kind', 'status', 'created', 'client')
      if has_ended(job[2]) then
        redis.call('LPOP', queue)
        if job[1] ~= 'prediction' then hold(job[4], -drop_upload(id, number)) end
        dropped = dropped + 1
      elseif job[1] ~= 'batch' and now - tonumber(job[3]) >= queue_ms then
        redis.call('LPOP', queue)
        fail_item(id, number, 'timed_out', 'The job still waited for a worker '
          .. math.floor(queue_ms / 1000) .. ' s after it was accepted.', ttl_ms)
        late = late + 1
      else
        break
      end
    end
  end
end

-- Batches to which no images are added any more: an open one is sealed with what it has; one whose
-- request broke off, as when the API was killed, fails.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', K.open(), '-inf', now, 'LIMIT', 0, bound)) do
  redis.call('ZREM', K.open(), id)
  local job = redis.call('HMGET', K.job(id), 'status', 'origin')
  if not has_ended(job[1]) then
    if job[2] == 'request' then break_off(id, ttl_ms) else seal_batch(id, ttl_ms) end
  end
end

local lanes = {}
for n = EACH_FIRST, #ARGV do
  if ticket_needed(EACH.lane, ARG.ticket_ms) then lanes[#lanes + 1] = EACH.lane end
end
return {#dead, late, lanes}

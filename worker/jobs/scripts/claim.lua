-- Give a worker up to `capacity` items of one target, under a lease. Lanes are looked at in the
-- order given; within a lane the target that was served longest ago comes first. The claim's
-- number is its fencing token: only a worker whose claim still holds an item may write its outcome.
-- Reads the uploads along with the items, which saves a round trip per image.
--
-- The first write is an LPOP, which Redis never refuses for lack of memory; after it the others are
-- not refused either, so a full Redis can still be worked empty.
--
-- ARGV: worker id, lease_ms, capacity, most bytes of uploads, ticket_ms, lane whose ticket arrived
--       or '', lanes ...
-- Returns nil, or {claim, lane, target, lanes that need a ticket, {item, attempts, kind, options,
-- upload, path of an image of a batch}, ...}.
local worker, lease_ms, capacity = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local most_bytes, ticket_ms = tonumber(ARGV[4]), ARGV[5]
if ARGV[6] ~= '' then redis.call('DEL', K.ticket(ARGV[6])) end

local skipped, most_skipped = 0, 1000 -- items of cancelled jobs, dropped on the way

local function take(lane, target)
  local taken, bytes, jobs = {}, 0, {}
  local queue = K.queue(lane, target)
  while #taken < capacity and bytes < most_bytes and skipped < most_skipped do
    local entry = redis.call('LPOP', queue)
    if not entry then break end
    local id, number, attempts = string.match(entry, '^(%w+):(%d+):(%d+)$')
    local job = jobs[id]
    if not job then
      job = redis.call('HMGET', K.job(id), 'kind', 'status', 'options', 'attempts')
      jobs[id] = job
    end
    if job[2] == 'queued' or job[2] == 'running' then
      attempts = tonumber(attempts) + 1
      if job[2] == 'queued' then
        set_status(id, job[1], 'queued', 'running')
        redis.call('HSETNX', K.job(id), 'started', now_ms())
        job[2] = 'running'
      end
      if attempts > tonumber(job[4]) then
        redis.call('HSET', K.job(id), 'attempts', attempts)
        job[4] = attempts
      end
      local upload = redis.call('GET', K.upload(id, number)) or ''
      local path = job[1] == 'batch' and redis.call('HGET', K.items(id), number) or ''
      bytes = bytes + #upload
      taken[#taken + 1] = {id .. ':' .. number, attempts, job[1], job[3], upload, path}
    else
      redis.call('DEL', K.upload(id, number))
      skipped = skipped + 1
    end
  end
  if redis.call('LLEN', queue) == 0 then
    redis.call('ZREM', K.lane(lane), target)
  else
    redis.call('ZADD', K.lane(lane), now_ms(), target)
  end
  return taken
end

local function lanes_needing_tickets()
  local lanes = {}
  for n = 7, #ARGV do
    if ticket_needed(ARGV[n], ticket_ms) then lanes[#lanes + 1] = ARGV[n] end
  end
  return lanes
end

for n = 7, #ARGV do
  local lane = ARGV[n]
  while skipped < most_skipped do
    local target = redis.call('ZRANGE', K.lane(lane), 0, 0)[1]
    if not target then break end
    local taken = take(lane, target)
    if #taken > 0 then
      local claim = redis.call('INCR', K.claims())
      local fields = {'@worker', worker, '@lane', lane, '@target', target}
      for _, row in ipairs(taken) do
        fields[#fields + 1] = row[1]
        fields[#fields + 1] = row[2]
      end
      redis.call('HSET', K.claim(claim), unpack(fields))
      redis.call('ZADD', K.leases(), now_ms() + lease_ms, claim)
      return {claim, lane, target, lanes_needing_tickets(), unpack(taken)}
    end
  end
end
return nil

-- Give a worker items of one target under a lease, as many as it takes of the lane. Lanes are
-- searched in the order given; within a lane the target that was served longest ago comes first. The
-- claim's number is its fencing token: only a worker whose claim still holds an item may write its
-- outcome. The uploads are returned with the items, which saves a round trip per image.
--
-- Of the bulk lane a worker gets no more than its share of what waits, so that all workers finish at
-- about the same time: shortly before the end of a batch claims become smaller (guided
-- self-scheduling, Polychronopoulos and Kuck 1987).
--
-- An item that was claimed before is given alone: it may have killed its worker, and must not affect
-- others again. So is the listing of a folder, which takes longer.
--
-- Where nothing waits, the worker may wait itself: it is then called, and no ticket is sent. That is
-- noted in this same step, so that no work can arrive in between.
--
-- The first write is a DEL, a ZREM or an LPOP, so that a full Redis can still be worked empty.
--
-- ARG worker: its id
-- ARG lease_ms
-- ARG most_bytes: of uploads in one claim
-- ARG ticket_ms: after which a ticket that is on its way is taken for lost
-- ARG ticket: the lane whose ticket arrived, or ''
-- ARG left_to_others: versions of which nothing is claimed, with spaces between
-- ARG wait_ms: for which the worker waits to be called where nothing waits
-- ARG efficient: images from which on a run is efficient
-- EACH lane, capacity: a lane, and the number of items that are taken of it at most
-- Returns nil where nothing waits, 0 where only ended jobs were met and more may wait, or
-- {claim, lane, target, lanes that need a ticket, {{job, kind, options}, ...}, {{item, attempts,
-- place of its job in the list before, upload, path of an image of a batch}, ...}}.
local worker, lease_ms, ticket_ms = ARG.worker, tonumber(ARG.lease_ms), ARG.ticket_ms
local most_bytes, wait_ms = tonumber(ARG.most_bytes), tonumber(ARG.wait_ms)
local efficient = tonumber(ARG.efficient)
if ARG.ticket ~= '' then redis.call('DEL', K.ticket(ARG.ticket)) end

local left = {}
for version in string.gmatch(ARG.left_to_others, '%S+') do left[version] = true end

local least_share = 8 -- images, of the bulk lane
local skipped, most_skipped = 0, 1000 -- entries of ended jobs, dropped on the way
local jobs, known = {}, {} -- of what was taken: rows to return, and what else is read of a job

local function job_of(id)
  local job = known[id]
  if not job then
    local values = redis.call('HMGET', K.job(id), 'kind', 'status', 'options', 'attempts', 'origin',
      'started', 'client', 'owner')
    job = {kind = values[1], status = values[2], options = values[3],
      attempts = tonumber(values[4]), in_folder = values[5] == 'folder', has_started = values[6],
      client = values[7], owner = values[8]}
    known[id] = job
  end
  return job
end

local function take_item(id, number, attempts, job)
  local news = {}
  if attempts > job.attempts then
    news = {'attempts', attempts}
    job.attempts = attempts
  end
  if not job.place then
    jobs[#jobs + 1] = {id, job.kind, job.options}
    job.place = #jobs - 1
    if job.status == 'queued' then
      if not job.has_started then news[#news + 1], news[#news + 2] = 'started', now_ms() end
      set_status(id, job.kind, 'queued', 'running', job.owner, news)
      news = {}
    end
  end
  if #news > 0 then redis.call('HSET', K.job(id), unpack(news)) end
  local upload = not job.in_folder and redis.call('GET', K.upload(id, number)) or ''
  local path = job.kind == 'batch' and redis.call('HGET', K.items(id), number) or ''
  return {id .. ':' .. number, attempts, job.place, upload, path}
end

-- How many items a worker takes of a queue: all that it can, or of the bulk lane its share. Idle workers
-- (that wait, or are ready and have no ticket) share it equally, but none gets so few that claiming
-- costs more than it saves. Busy workers are left a share as well, unless claims would then be smaller
-- than half of what they could be, or runs too small to be efficient.
local function share(lane, target, capacity)
  if lane ~= 'bulk' or capacity <= least_share then return capacity end
  local length = redis.call('LLEN', K.queue(lane, target))
  local waiting = redis.call('ZCOUNT', K.waiting(lane), now_ms(), '+inf')
  local working = redis.call('ZCARD', K.leases())
  local idle = math.max(waiting, redis.call('ZCARD', K.serving(lane)) - 1 - working)
  local among_all = math.max(efficient, math.floor(capacity / 2),
    math.ceil(length / (1 + idle + working)))
  local part = math.min(among_all, math.ceil(length / (1 + idle)))
  return math.min(capacity, math.max(least_share, part))
end

local function take(lane, target, capacity)
  local taken, bytes = {}, 0
  local queue = K.queue(lane, target)
  while #taken < capacity and bytes < most_bytes and skipped < most_skipped do
    local entry = redis.call('LPOP', queue)
    if not entry then break end
    local id, number, attempts = split_entry(entry)
    local job = job_of(id)
    local alone = attempts > 0 or (job.kind == 'batch' and number == '0')
    if has_ended(job.status) then
      if job.kind ~= 'prediction' then hold(job.client, -drop_upload(id, number)) end
      skipped = skipped + 1
    elseif alone and #taken > 0 then
      redis.call('LPUSH', queue, entry)
      break
    else
      local row = take_item(id, number, attempts + 1, job)
      bytes = bytes + #row[4]
      taken[#taken + 1] = row
      if alone then break end
    end
  end
  if redis.call('LLEN', queue) == 0 then
    redis.call('ZREM', K.lane(lane), target)
  else
    redis.call('ZADD', K.lane(lane), turn_now(), target)
  end
  return taken
end

local function lanes_needing_tickets()
  local lanes = {}
  for n = EACH_FIRST, #ARGV, EACH_STEP do
    if ticket_needed(EACH.lane, ticket_ms) then lanes[#lanes + 1] = EACH.lane end
  end
  return lanes
end

for n = EACH_FIRST, #ARGV, EACH_STEP do
  local lane = EACH.lane
  local place = 0
  while skipped < most_skipped do
    local target = redis.call('ZRANGE', K.lane(lane), place, place)[1]
    if not target then break end
    local taken = {}
    if left[string.match(target, '^[^/]+')] or left[string.match(target, '^[^/#]+')] then
      place = place + 1
    else
      taken = take(lane, target, share(lane, target, tonumber(EACH.capacity)))
    end
    if #taken > 0 then
      local claim = redis.call('INCR', K.claims())
      local about = {'@worker', worker, '@lane', lane, '@target', target}
      for _, row in ipairs(taken) do
        about[#about + 1], about[#about + 2] = row[1], row[2]
      end
      redis.call('HSET', K.claim(claim), unpack(about))
      redis.call('ZADD', K.leases(), now_ms() + lease_ms, claim)
      return {claim, lane, target, lanes_needing_tickets(), jobs, taken}
    end
  end
end
if skipped >= most_skipped then return 0 end
if wait_ms > 0 then
  for n = EACH_FIRST, #ARGV, EACH_STEP do
    redis.call('ZREM', K.waiting(EACH.lane), worker)
    redis.call('ZADD', K.waiting(EACH.lane), now_ms() + wait_ms, worker)
  end
end
return nil

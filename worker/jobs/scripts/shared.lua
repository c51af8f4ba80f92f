-- Functions that the scripts share. Prepended to each of them, after the key builders (K).
--
-- At `maxmemory` Redis refuses a script's commands that need memory, but only until the script's
-- first write. So each script that must work on a full Redis begins with a write that frees
-- something (DEL, HDEL, LPOP, ZREM and their like are never refused), and `accept` does not.

-- Redis's own clock in milliseconds: the only clock that leases and records go by.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function split_item(item)
  return string.match(item, '^(%w+):(%d+)$')
end

local function split_entry(entry)
  local id, number, attempts = string.match(entry, '^(%w+):(%d+):(%d+)$')
  return id, number, tonumber(attempts)
end

local function has_ended(status)
  return status ~= 'queued' and status ~= 'running'
end

-- Move a job from one status to another, in its record and in the index.
local function set_status(id, kind, from, to)
  redis.call('ZREM', K.index(kind, from), id)
  redis.call('HSET', K.job(id), 'status', to)
  redis.call('ZADD', K.index(kind, to), 0, id)
end

-- Delete what was uploaded for a job, or let it live on for keep_ms milliseconds.
local function drop_uploads(id, total, keep_ms)
  for number = 0, total - 1 do
    if keep_ms > 0 then
      redis.call('PEXPIRE', K.upload(id, number), keep_ms)
    else
      redis.call('DEL', K.upload(id, number))
    end
  end
  local names = redis.call('HGETALL', K.files(id))
  for n = 1, #names, 2 do
    local place, _, chunks = string.match(names[n + 1], '^(%d+):(%d+):(%d+)$')
    for chunk = 0, chunks - 1 do redis.call('DEL', K.chunk(id, place, chunk)) end
  end
  redis.call('DEL', K.files(id))
end

-- End a job: its record is kept until now + ttl_ms, then the sweeper forgets it. The expiry of the
-- key itself, an hour later, is for the case that no sweeper ever runs again.
local function end_job(id, status, field, value, ttl_ms)
  local job = redis.call('HMGET', K.job(id), 'kind', 'status', 'total', 'keep_upload_ms')
  local now = now_ms()
  set_status(id, job[1], job[2], status)
  redis.call('HSET', K.job(id), 'finished', now, 'expires', now + ttl_ms)
  if field then redis.call('HSET', K.job(id), field, value) end
  redis.call('ZADD', K.expiry(), now + ttl_ms, id)
  redis.call('PEXPIRE', K.job(id), ttl_ms + 3600000)
  redis.call('PEXPIRE', K.log(id), ttl_ms + 3600000)
  drop_uploads(id, tonumber(job[3]), status == 'cancelled' and 0 or tonumber(job[4]))
  redis.call('HINCRBY', K.totals(), job[1] .. ':' .. status, 1)
  redis.call('PUBLISH', K.ended(), id)
end

local function fail_item(id, number, code, message, ttl_ms)
  redis.call('HINCRBY', K.job(id), 'failed', 1)
  end_job(id, 'failed', 'error', cjson.encode({code = code, message = message}), ttl_ms)
end

-- Put an item back at the head of its queue, or fail it when it was claimed too often.
local function requeue(item, attempts, lane, target, max_attempts, reason, ttl_ms)
  local id, number = split_item(item)
  if has_ended(redis.call('HGET', K.job(id), 'status')) then return end
  if attempts >= max_attempts then
    fail_item(id, number, 'poisoned',
      'Given up after ' .. attempts .. ' attempts. The last one: ' .. reason, ttl_ms)
    return
  end
  redis.call('LPUSH', K.queue(lane, target), item .. ':' .. attempts)
  redis.call('ZADD', K.lane(lane), 'NX', 0, target)
end

-- Take a claim apart: return what the fields with '@' say of it, and its items as {item, attempts},
-- the last one first, so that putting one after the other at the head of a queue keeps their order.
local function take_apart(claim)
  local rows = redis.call('HGETALL', K.claim(claim))
  local about, items = {}, {}
  for n = #rows - 1, 1, -2 do
    if string.sub(rows[n], 1, 1) == '@' then
      about[rows[n]] = rows[n + 1]
    else
      items[#items + 1] = {rows[n], tonumber(rows[n + 1])}
    end
  end
  redis.call('DEL', K.claim(claim))
  redis.call('ZREM', K.leases(), claim)
  return about, items
end

-- Whether a ticket has to be sent for a lane: something waits, no ticket lies in the broker's queue
-- and none is on its way there or from there.
local function ticket_needed(lane, ticket_ms)
  if redis.call('ZCARD', K.lane(lane)) == 0 then return false end
  if redis.call('LLEN', K.tickets(lane)) > 0 then return false end
  return redis.call('SET', K.ticket(lane), '1', 'NX', 'PX', ticket_ms) and true or false
end

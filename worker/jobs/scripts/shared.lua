-- Functions that the scripts share. Prepended to each of them, after the key builders (K).
--
-- At `maxmemory` Redis refuses a script's commands that need memory, but only until the script's
-- first write. So each script that must work on a full Redis begins with a write that frees
-- something (DEL, HDEL, LPOP, ZREM and their like are never refused), and `accept` and `append` do
-- not.

-- Redis's own clock: the only one that leases and records go by. It is read once by a script.
local clock_us
local function now_us()
  if not clock_us then
    local time = redis.call('TIME')
    clock_us = time[1] * 1000000 + time[2]
  end
  return clock_us
end

local function now_ms()
  return math.floor(now_us() / 1000)
end

-- The place of a target among those of its lane, which are served in this order: Redis's clock, to the
-- microsecond, so that of two targets within one millisecond the first one is served first.
local function turn_now()
  return now_us() / 1000
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

-- Move a job from one status to another, in its record, in the index and in that of the key that made
-- it, if one did, and set more of its record: a list of names and values.
local function set_status(id, kind, from, to, owner, more)
  redis.call('ZREM', K.index(kind, from), id)
  redis.call('HSET', K.job(id), 'status', to, unpack(more))
  redis.call('ZADD', K.index(kind, to), 0, id)
  if owner then
    redis.call('ZREM', K.owned(owner, kind, from), id)
    redis.call('ZADD', K.owned(owner, kind, to), 0, id)
  end
end

-- Count bytes that lie here for a client, or no longer do where the number is below 0. Every script
-- that writes or deletes an upload counts it, so that the sum is always right.
local function hold(client, bytes)
  if not client or client == '' or bytes == 0 then return end
  if redis.call('HINCRBY', K.held(), client, bytes) <= 0 then redis.call('HDEL', K.held(), client) end
end

-- Whether a client would hold more than it may with so many more bytes, and how many it does.
local function is_too_much(client, more, most)
  if most <= 0 or more == 0 or client == '' then return false, 0 end
  local held = tonumber(redis.call('HGET', K.held(), client) or 0)
  return held + more > most, held
end

-- Delete an upload and return its bytes, for `hold`.
local function drop_upload(id, number)
  local size = redis.call('STRLEN', K.upload(id, number))
  if size > 0 then redis.call('DEL', K.upload(id, number)) end
  return size
end

-- Let an upload live on for keep_ms milliseconds. It expires by itself; the entry in `kept` says that
-- it is still counted until `clean` has come by.
local function keep_upload(id, number, client, keep_ms)
  local size = redis.call('STRLEN', K.upload(id, number))
  if size == 0 then return end
  redis.call('PEXPIRE', K.upload(id, number), keep_ms)
  if client and client ~= '' then
    redis.call('ZADD', K.kept(), now_ms() + keep_ms, table.concat({id, number, size, client}, ':'))
  end
end

-- Take an upload that lived on out of `kept`, and return its bytes.
local function unkeep_upload(id, number, client)
  local size = redis.call('STRLEN', K.upload(id, number))
  if size > 0 and client and client ~= '' then
    redis.call('ZREM', K.kept(), table.concat({id, number, size, client}, ':'))
  end
  return size
end

-- Delete what was uploaded for a job, or let it live on for keep_ms milliseconds.
local function drop_uploads(id, kind, total, keep_ms, client)
  local freed = 0
  for number = 0, total - 1 do
    if keep_ms > 0 then
      keep_upload(id, number, client, keep_ms)
    else
      freed = freed + drop_upload(id, number)
    end
  end
  if kind ~= 'prediction' then -- which has no other files
    local names = redis.call('HGETALL', K.files(id))
    for n = 1, #names, 2 do
      local place, size, chunks = string.match(names[n + 1], '^(%d+):(%d+):(%d+)$')
      for chunk = 0, chunks - 1 do redis.call('DEL', K.chunk(id, place, chunk)) end
      freed = freed + size
    end
    redis.call('DEL', K.files(id))
  end
  hold(client, -freed)
end

-- Delete the pieces of files that no job was accepted for.
local function drop_pieces(id)
  local pieces, freed, client = redis.call('HGETALL', K.pieces(id)), 0, ''
  for n = 1, #pieces, 2 do
    if pieces[n] == '@client' then
      client = pieces[n + 1]
    else
      local place, chunk = string.match(pieces[n], '^(%d+):(%d+)$')
      redis.call('DEL', K.chunk(id, place, chunk))
      freed = freed + pieces[n + 1]
    end
  end
  redis.call('DEL', K.pieces(id))
  redis.call('ZREM', K.arriving(), id)
  hold(client, -freed)
end

-- Everything that belongs to a job beside its record and its uploads.
local function belongings(id)
  return {K.log(id), K.items(id), K.results(id), K.failures(id), K.labels(id)}
end

-- Write the webhook about a job that ends, in the same step in which it ends. A batch whose failures
-- are tried again ends once more, which is another delivery. The webhook carries the job's state of
-- this moment, however late it is sent. The expiry is for the case that no deliverer runs.
local WEBHOOK_MS = 7 * 24 * 3600000
local function announce(id, kind, status, url, host)
  local now = now_ms()
  local number = redis.call('HINCRBY', K.job(id), 'webhook_endings', 1)
  redis.call('HSET', K.job(id), 'webhook_state', 'pending', 'webhook_attempts', 0, 'webhook_next', now)
  redis.call('HDEL', K.job(id), 'webhook_error')
  local delivery = id .. '-' .. number
  redis.call('HSET', K.webhook(delivery), 'job', id, 'number', number, 'status', status, 'url', url,
    'host', host, 'ended', now, 'attempts', 0, 'record', cjson.encode(redis.call('HGETALL', K.job(id))))
  if kind == 'batch' then
    redis.call('HSET', K.webhook(delivery), 'labels', cjson.encode(redis.call('HGETALL', K.labels(id))))
  end
  redis.call('PEXPIRE', K.webhook(delivery), WEBHOOK_MS)
  redis.call('ZADD', K.webhooks(host), now, delivery)
  redis.call('PEXPIRE', K.webhooks(host), WEBHOOK_MS)
  redis.call('ZADD', K.receivers(), 'LT', now, host)
  redis.call('DEL', K.due())
  redis.call('RPUSH', K.due(), 1)
end

-- End a job: its record is kept until now + ttl_ms, then the sweeper forgets it. The expiry of the
-- keys themselves, an hour later, is for the case that no sweeper ever runs again. All jobs but batches
-- have one item, which ends with them.
local function end_job(id, status, field, value, ttl_ms)
  local job = redis.call('HMGET', K.job(id), 'kind', 'status', 'total', 'keep_upload_ms', 'origin',
    'lane', 'target', 'webhook', 'webhook_host', 'client', 'owner')
  local now = now_ms()
  local more = {'finished', now, 'expires', now + ttl_ms}
  if field then more[#more + 1], more[#more + 2] = field, value end
  if job[1] ~= 'batch' and status ~= 'cancelled' then
    more[#more + 1], more[#more + 2] = status, 1 -- the count has the name of the status
  end
  set_status(id, job[1], job[2], status, job[11], more)
  redis.call('ZADD', K.expiry(), now + ttl_ms, id)
  redis.call('PEXPIRE', K.job(id), ttl_ms + 3600000)
  if job[1] ~= 'prediction' then -- to which nothing else belongs
    for _, belonging in ipairs(belongings(id)) do
      redis.call('PEXPIRE', belonging, ttl_ms + 3600000)
    end
  end
  if job[1] == 'batch' then
    -- The uploads of images that still wait are deleted by `clean`, in steps: there may be a million.
    if status == 'cancelled' then redis.call('SADD', K.purge(), id) end
    redis.call('UNLINK', K.known(id), K.seen(id))
    redis.call('ZREM', K.open(), id)
    if job[5] == 'folder' then
      redis.call('UNLINK', K.queue(job[6], job[7]))
      redis.call('ZREM', K.lane(job[6]), job[7])
    end
  else
    drop_uploads(id, job[1], tonumber(job[3]), status == 'cancelled' and 0 or tonumber(job[4]),
      job[10])
  end
  redis.call('HINCRBY', K.totals(), job[1] .. ':' .. status, 1)
  if job[8] then announce(id, job[1], status, job[8], job[9]) end
  -- Requests that wait for a prediction get its record at once, which saves reading it.
  local record = job[1] == 'prediction' and cjson.encode(redis.call('HGETALL', K.job(id))) or ''
  redis.call('PUBLISH', K.ended(), id .. record)
end

local function failure(code, message)
  return cjson.encode({code = code, message = message})
end

-- End a batch to which nothing is added any more once all of its items have ended.
local function end_batch_if_done(id, ttl_ms)
  local job = redis.call('HMGET', K.job(id), 'sealed', 'total', 'succeeded', 'failed', 'skipped')
  local total, succeeded, failed = tonumber(job[2]), tonumber(job[3]), tonumber(job[4])
  if job[1] ~= '1' or succeeded + failed < total then return end
  if total == 0 then
    local others = job[5] == '0' and '.'
      or '; ' .. job[5] .. (job[5] == '1' and ' other file was' or ' other files were') .. ' skipped.'
    end_job(id, 'failed', 'error', failure('no_images', 'There was no image in it' .. others), ttl_ms)
  elseif succeeded == 0 then
    end_job(id, 'failed', 'error', failure('all_failed', total == 1
      and 'The only image could not be classified.'
      or 'Not one of the ' .. total .. ' images could be classified.'), ttl_ms)
  else
    end_job(id, 'succeeded', nil, nil, ttl_ms)
  end
end

-- Seal a batch: nothing is added any more.
local function seal_batch(id, ttl_ms)
  redis.call('ZREM', K.open(), id)
  redis.call('HSET', K.job(id), 'sealed', 1)
  end_batch_if_done(id, ttl_ms)
end

-- Fail a batch whose one request broke off: its client never got an answer. An idempotency key that
-- leads to it counts as unused.
local function break_off(id, ttl_ms)
  redis.call('ZREM', K.open(), id)
  redis.call('HSET', K.job(id), 'broken', 1, 'keep_upload_ms', 0)
  end_job(id, 'failed', 'error', failure('upload_broken',
    'The request that brought the images broke off: send it again.'), ttl_ms)
  redis.call('SADD', K.purge(), id)
end

local function new_tally(client)
  return {succeeded = 0, failed = 0, labels = {}, client = client, freed = 0}
end

-- Write the outcome of one image of a batch and add it to a tally, for `settle`.
local function write_item(id, number, field, value, label, digest, keep_ms, tally)
  redis.call('HSET', K.results(id), number, string.sub(field, 1, 1) .. value)
  if field == 'result' then
    tally.succeeded = tally.succeeded + 1
    if label ~= '' then tally.labels[label] = (tally.labels[label] or 0) + 1 end
    if digest ~= '' then redis.call('HSETNX', K.seen(id), digest, number) end
    tally.freed = tally.freed + drop_upload(id, number)
  else
    tally.failed = tally.failed + 1
    redis.call('SADD', K.failures(id), number)
    keep_upload(id, number, tally.client, keep_ms) -- a retry needs it
  end
end

-- Add a tally to a batch's record: its counts, how often each label came first, and how many items
-- had ended about ten seconds ago, for its rate. Ends the batch with its last item.
local function settle(id, tally, ttl_ms)
  local succeeded = redis.call('HINCRBY', K.job(id), 'succeeded', tally.succeeded)
  local done = succeeded + redis.call('HINCRBY', K.job(id), 'failed', tally.failed)
  hold(tally.client, -tally.freed)
  for label, count in pairs(tally.labels) do redis.call('HINCRBY', K.labels(id), label, count) end
  local job = redis.call('HMGET', K.job(id), 'mark_ms', 'mark_done', 'started')
  local now = now_ms()
  if not job[1] or now - job[1] > 10000 then
    redis.call('HSET', K.job(id), 'mark_ms', now, 'mark_done', done,
      'before_ms', job[1] or job[3] or now, 'before_done', job[2] or 0)
  end
  end_batch_if_done(id, ttl_ms)
end

-- Fail one item; of other jobs than batches it is the only one. Item 0 of a batch is the listing of
-- its folder: what was listed before counts, but a batch of which not all is known has failed.
local function fail_item(id, number, code, message, ttl_ms)
  local job = redis.call('HMGET', K.job(id), 'kind', 'keep_upload_ms', 'client')
  if job[1] == 'batch' and number ~= '0' then
    local tally = new_tally(job[3])
    write_item(id, number, 'error', failure(code, message), '', '', job[2], tally)
    return settle(id, tally, ttl_ms)
  end
  end_job(id, 'failed', 'error', failure(code, message), ttl_ms)
end

-- Put an item back at the head of its queue and note why in its job, or fail it when it was claimed
-- too often. Without a `reason` it is as if it had never been claimed.
local function requeue(item, attempts, lane, target, max_attempts, reason, ttl_ms)
  local id, number = split_item(item)
  local job = redis.call('HMGET', K.job(id), 'status', 'kind', 'client')
  if has_ended(job[1]) then
    if job[2] ~= 'prediction' then hold(job[3], -drop_upload(id, number)) end
    return
  end
  if attempts >= max_attempts then
    fail_item(id, number, 'poisoned',
      'Given up after ' .. attempts .. ' attempts. The last one: ' .. reason, ttl_ms)
    return
  end
  redis.call('LPUSH', K.queue(lane, target), item .. ':' .. attempts)
  redis.call('ZADD', K.lane(lane), 'NX', 0, target)
  if reason ~= '' then
    redis.call('HSET', K.job(id), 'requeued', now_ms(), 'requeued_because', reason)
  end
end

-- Delete a claim: return its fields with '@', and its items as {item, attempts}, the last one first,
-- so that putting them one by one at the head of a queue keeps their order.
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

-- Take a claim back from a worker that has ended; this counts as an attempt of its items.
local function bury(claim, max_attempts, ttl_ms)
  local about, items = take_apart(claim)
  for _, row in ipairs(items) do
    requeue(row[1], row[2], about['@lane'], about['@target'], max_attempts,
      'worker ' .. about['@worker'] .. ' died or stopped answering while it had the work.', ttl_ms)
  end
end

-- How much waits in a lane, and for how many ms the oldest of it has. Of the bulk lane that is the
-- batches of which images wait; of the others the jobs of which nothing has been claimed yet. A batch
-- that is still being sent is not waiting for a worker.
local KINDS = {interactive = {'prediction'}, bulk = {'batch'}, freezing = {'freeze', 'inspection', 'comparison'}}
local function backlog(lane)
  local depth, age = 0, 0
  for _, kind in ipairs(KINDS[lane]) do
    depth = depth + redis.call('ZCARD', K.index(kind, 'queued'))
    local last = kind == 'batch' and 99 or 0
    for _, id in ipairs(redis.call('ZRANGE', K.index(kind, 'queued'), 0, last)) do
      if kind ~= 'batch' or not redis.call('ZSCORE', K.open(), id) then
        age = math.max(age, now_ms() - (redis.call('HGET', K.job(id), 'created') or now_ms()))
        break
      end
    end
  end
  if lane == 'bulk' then depth = redis.call('ZCARD', K.lane(lane)) end
  return depth, age
end

-- Call a worker process that waits for work of a lane, and return whether there was one. The one that
-- came last is called, so that the others return to Celery, where they get tickets.
local function called(lane)
  local latest = redis.call('ZREVRANGE', K.waiting(lane), 0, 0, 'WITHSCORES')
  if not latest[1] then return false end
  if tonumber(latest[2]) <= now_ms() then -- so have all others; they are dead
    redis.call('DEL', K.waiting(lane))
    return false
  end
  redis.call('ZREM', K.waiting('interactive'), latest[1])
  redis.call('ZREM', K.waiting('bulk'), latest[1])
  redis.call('RPUSH', K.call(latest[1]), lane)
  redis.call('PEXPIRE', K.call(latest[1]), 10000)
  return true
end

-- Whether a ticket has to be sent for a lane: something waits, no process that waits for it can be
-- called, no ticket lies in the broker's queue and none is on its way there or from there.
local function ticket_needed(lane, ticket_ms)
  if redis.call('ZCARD', K.lane(lane)) == 0 then return false end
  if called(lane) then return false end
  if redis.call('LLEN', K.tickets(lane)) > 0 then return false end
  return redis.call('SET', K.ticket(lane), '1', 'NX', 'PX', ticket_ms) and true or false
end

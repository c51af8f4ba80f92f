-- Functions that the scripts share. Prepended to each of them, after the key builders (K).

-- Redis's own clock in milliseconds: the only clock that leases and records go by.
local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function split_item(item)
  return string.match(item, '^(%w+):(%d+)$')
end

-- Move a job from one status to another, in its record and in the index.
local function set_status(id, kind, from, to)
  redis.call('HSET', K.job(id), 'status', to)
  redis.call('ZREM', K.index(kind, from), id)
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

-- Everything that belongs to a job beside its record and its uploads.
local function belongings(id)
  return {K.log(id), K.items(id), K.results(id), K.failures(id), K.labels(id)}
end

-- End a job: its record is kept until now + ttl_ms, then the sweeper forgets it. The expiry of the
-- keys themselves, an hour later, is for the case that no sweeper ever runs again.
local function end_job(id, status, field, value, ttl_ms)
  local job = redis.call('HMGET', K.job(id), 'kind', 'status', 'total', 'keep_upload_ms')
  local now = now_ms()
  set_status(id, job[1], job[2], status)
  redis.call('HSET', K.job(id), 'finished', now, 'expires', now + ttl_ms)
  if field then redis.call('HSET', K.job(id), field, value) end
  redis.call('ZADD', K.expiry(), now + ttl_ms, id)
  redis.call('PEXPIRE', K.job(id), ttl_ms + 3600000)
  for _, name in ipairs(belongings(id)) do redis.call('PEXPIRE', name, ttl_ms + 3600000) end
  if job[1] == 'batch' then
    -- Its uploads went one by one; those of items that still wait go as their queue is worked off.
    redis.call('UNLINK', K.known(id), K.seen(id))
    redis.call('ZREM', K.open(), id)
  else
    drop_uploads(id, tonumber(job[3]), tonumber(job[4]))
  end
  redis.call('HINCRBY', K.totals(), job[1] .. ':' .. status, 1)
  redis.call('PUBLISH', K.ended(), id)
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
    end_job(id, 'failed', 'error',
      failure('no_images', 'There was no image in it; ' .. job[5] .. ' other files were skipped.'),
      ttl_ms)
  elseif succeeded == 0 then
    end_job(id, 'failed', 'error',
      failure('all_failed', 'Not one of the ' .. total .. ' images could be classified.'), ttl_ms)
  else
    end_job(id, 'succeeded', nil, nil, ttl_ms)
  end
end

-- Remember how far a batch is, now and about ten seconds ago, for its rate.
local function mark_progress(id, done)
  local mark = redis.call('HMGET', K.job(id), 'mark_ms', 'mark_done')
  local now = now_ms()
  if not mark[1] or now - mark[1] > 10000 then
    redis.call('HSET', K.job(id), 'mark_ms', now, 'mark_done', done,
      'before_ms', mark[1] or now, 'before_done', mark[2] or done - 1)
  end
end

-- Write what became of one item. `field` is 'result' or 'error', `value` JSON. Item 0 of a batch is
-- the listing of its folder: with its result, the number of files skipped, the batch is sealed.
local function write_outcome(id, number, field, value, label, digest, ttl_ms)
  local job = redis.call('HMGET', K.job(id), 'kind', 'keep_upload_ms')
  if job[1] ~= 'batch' then
    redis.call('HINCRBY', K.job(id), field == 'result' and 'succeeded' or 'failed', 1)
    end_job(id, field == 'result' and 'succeeded' or 'failed', field, value, ttl_ms)
    return
  end
  if number == '0' then
    if field == 'error' then return end_job(id, 'failed', 'error', value, ttl_ms) end
    redis.call('HSET', K.job(id), 'sealed', 1, 'skipped', value)
    return end_batch_if_done(id, ttl_ms)
  end
  redis.call('HSET', K.results(id), number, string.sub(field, 1, 1) .. value)
  local done
  if field == 'result' then
    done = redis.call('HINCRBY', K.job(id), 'succeeded', 1)
    if label ~= '' then redis.call('HINCRBY', K.labels(id), label, 1) end
    if digest ~= '' then redis.call('HSETNX', K.seen(id), digest, number) end
    redis.call('DEL', K.upload(id, number))
  else
    done = redis.call('HINCRBY', K.job(id), 'failed', 1)
    redis.call('SADD', K.failures(id), number)
    redis.call('PEXPIRE', K.upload(id, number), job[2]) -- a retry needs it
  end
  mark_progress(id, done)
  end_batch_if_done(id, ttl_ms)
end

-- Put an item back at the head of its queue, or fail it when it was claimed too often.
local function requeue(item, attempts, lane, target, max_attempts, reason, ttl_ms)
  local id, number = split_item(item)
  local status = redis.call('HGET', K.job(id), 'status')
  if status ~= 'running' and status ~= 'queued' then return end
  if attempts >= max_attempts then
    write_outcome(id, number, 'error',
      failure('poisoned', 'Given up after ' .. attempts .. ' attempts. The last one: ' .. reason),
      '', '', ttl_ms)
    return
  end
  redis.call('LPUSH', K.queue(lane, target), item .. ':' .. attempts)
  redis.call('ZADD', K.lane(lane), 'NX', 0, target)
end

-- Whether a ticket has to be sent for a lane: something waits and none is on its way.
local function ticket_needed(lane, ticket_ms)
  if redis.call('ZCARD', K.lane(lane)) == 0 then return false end
  return redis.call('SET', K.ticket(lane), '1', 'NX', 'PX', ticket_ms) and true or false
end

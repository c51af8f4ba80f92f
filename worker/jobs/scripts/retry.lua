-- Queue failed items of a batch again, up to a bound; the caller asks until none is left. What was
-- classified stays. A batch that had ended runs again. The first write only removes, so that a full
-- Redis can be worked on.
--
-- ARG job
-- ARG bound: items that are queued at most
-- ARG ticket_ms: after which a ticket that is on its way is taken for lost
-- Returns {items queued, 1 if a ticket has to be sent}, or {-1, 0} where the batch was cancelled,
-- ended before all of its images were known, or is gone.
local id = ARG.job
local job = redis.call('HMGET', K.job(id), 'kind', 'status', 'lane', 'target', 'succeeded', 'failed',
  'sealed', 'client', 'owner')
if not job[2] or job[2] == 'cancelled' then return {-1, 0} end
if has_ended(job[2]) and job[7] ~= '1' then return {-1, 0} end
local numbers = redis.call('SPOP', K.failures(id), ARG.bound)
if #numbers == 0 then return {0, 0} end
if has_ended(job[2]) then
  redis.call('ZREM', K.expiry(), id)
  redis.call('PERSIST', K.job(id))
  for _, belonging in ipairs(belongings(id)) do redis.call('PERSIST', belonging) end
  redis.call('HDEL', K.job(id), 'finished', 'expires', 'error')
  set_status(id, job[1], job[2], 'running', job[9], {})
end
local queue = K.queue(job[3], job[4])
for _, number in ipairs(numbers) do
  redis.call('HDEL', K.results(id), number)
  unkeep_upload(id, number, job[8])
  redis.call('PERSIST', K.upload(id, number))
  redis.call('RPUSH', queue, id .. ':' .. number .. ':0')
end
redis.call('HINCRBY', K.job(id), 'failed', -#numbers)
local now, done = now_ms(), job[5] + job[6] - #numbers
redis.call('HSET', K.job(id), 'mark_ms', now, 'mark_done', done, 'before_ms', now,
  'before_done', done)
redis.call('ZADD', K.lane(job[3]), 'NX', turn_now(), job[4])
return {#numbers, ticket_needed(job[3], ARG.ticket_ms) and 1 or 0}

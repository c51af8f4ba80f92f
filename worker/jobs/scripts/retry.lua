-- Queue failed items of a batch again, up to a bound; the caller asks until none is left. What was
-- classified stays. A batch that had ended runs again.
--
-- ARGV: id, bound, ticket_ms.
-- Returns {items queued, 1 if a ticket has to be sent}.
local id = ARGV[1]
local numbers = redis.call('SPOP', K.failures(id), ARGV[2])
if #numbers == 0 then return {0, 0} end
local job = redis.call('HMGET', K.job(id), 'kind', 'status', 'lane', 'target')
if job[2] ~= 'queued' and job[2] ~= 'running' then
  redis.call('ZREM', K.expiry(), id)
  redis.call('PERSIST', K.job(id))
  for _, name in ipairs(belongings(id)) do redis.call('PERSIST', name) end
  redis.call('HDEL', K.job(id), 'finished', 'expires', 'error')
  redis.call('HSET', K.job(id), 'sealed', 1)
  set_status(id, job[1], job[2], 'running')
end
local queue = K.queue(job[3], job[4])
for _, number in ipairs(numbers) do
  redis.call('HDEL', K.results(id), number)
  redis.call('PERSIST', K.upload(id, number))
  redis.call('RPUSH', queue, id .. ':' .. number .. ':0')
end
redis.call('HINCRBY', K.job(id), 'failed', -#numbers)
redis.call('HDEL', K.job(id), 'mark_ms', 'mark_done', 'before_ms', 'before_done')
redis.call('ZADD', K.lane(job[3]), 'NX', now_ms(), job[4])
return {#numbers, ticket_needed(job[3], ARGV[3]) and 1 or 0}

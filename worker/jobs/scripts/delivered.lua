-- Write what became of an attempt at a webhook, by compare-and-set: it counts only while the token is
-- still the attempt's own. The first write is a ZREM, so that it works on a full Redis.
--
-- ARG delivery, token
-- ARG state: 'delivered', 'failed' (given up), 'pending' (another attempt follows) or 'returned'
--   (there was no attempt)
-- ARG wait_ms: until the next attempt
-- ARG error: what went wrong, or ''
-- ARG body: what further attempts send
-- Returns 1, or 0 where another has it.
local delivery, state = ARG.delivery, ARG.state
local row = redis.call('HMGET', K.webhook(delivery), 'token', 'job', 'number', 'host', 'attempts')
if row[1] ~= ARG.token then return 0 end
local job, number, host, attempts = row[2], row[3], row[4], tonumber(row[5])
local due = now_ms() + tonumber(ARG.wait_ms)
redis.call('ZREM', K.webhooks(host), delivery)
if state ~= 'returned' then attempts = attempts + 1 end
if state == 'delivered' or state == 'failed' then
  redis.call('UNLINK', K.webhook(delivery))
  if redis.call('ZCARD', K.webhooks(host)) == 0 then redis.call('ZREM', K.receivers(), host) end
  redis.call('HINCRBY', K.totals(), 'webhook:' .. state, 1)
else
  redis.call('HSET', K.webhook(delivery), 'attempts', attempts, 'body', ARG.body)
  redis.call('HDEL', K.webhook(delivery), 'record', 'labels')
  redis.call('PEXPIRE', K.webhook(delivery), WEBHOOK_MS)
  redis.call('ZADD', K.webhooks(host), due, delivery)
  redis.call('PEXPIRE', K.webhooks(host), WEBHOOK_MS)
  redis.call('ZADD', K.receivers(), 'LT', due, host)
end
-- Of a job that is remembered, and has not ended once more since.
if redis.call('HGET', K.job(job), 'webhook_endings') == number then
  if state == 'returned' and ARG.error == '' then return 1 end
  if state == 'returned' then state = 'pending' end
  redis.call('HSET', K.job(job), 'webhook_state', state, 'webhook_attempts', attempts)
  if ARG.error == '' then
    redis.call('HDEL', K.job(job), 'webhook_error')
  else
    redis.call('HSET', K.job(job), 'webhook_error', ARG.error)
  end
  if state == 'pending' then
    redis.call('HSET', K.job(job), 'webhook_next', due)
  else
    redis.call('HDEL', K.job(job), 'webhook_next')
  end
end
return 1

-- Take no more images into a batch; it ends when all it has have ended.
--
-- ARGV: id, result ttl in ms.
local status = redis.call('HGET', K.job(ARGV[1]), 'status')
if status == 'queued' or status == 'running' then
  redis.call('HSET', K.job(ARGV[1]), 'sealed', 1)
  redis.call('ZREM', K.open(), ARGV[1])
  end_batch_if_done(ARGV[1], tonumber(ARGV[2]))
end

-- Put what a worker process says of itself on the roster, and take off those that fell silent.
-- The first write only removes, so that workers stay visible when Redis is full.
--
-- ARGV: worker id, lifetime of a report in ms, report (JSON), then each lane that it is ready for.
local now = now_ms()
local silent = now - tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', K.workers(), '-inf', silent)
redis.call('SET', K.worker(ARGV[1]), ARGV[3], 'PX', ARGV[2])
redis.call('ZADD', K.workers(), now, ARGV[1])
for n = 4, #ARGV do
  redis.call('ZREMRANGEBYSCORE', K.serving(ARGV[n]), '-inf', silent)
  redis.call('ZADD', K.serving(ARGV[n]), now, ARGV[1])
end

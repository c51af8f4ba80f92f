-- Put what a worker process says of itself on the roster, and take off those that fell silent.
-- The first write only removes, so that workers stay visible when Redis is full.
--
-- ARGV: worker id, lifetime of a report in ms, report (JSON).
local now = now_ms()
redis.call('ZREMRANGEBYSCORE', K.workers(), '-inf', now - tonumber(ARGV[2]))
redis.call('SET', K.worker(ARGV[1]), ARGV[3], 'PX', ARGV[2])
redis.call('ZADD', K.workers(), now, ARGV[1])

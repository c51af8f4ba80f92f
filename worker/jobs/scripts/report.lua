-- Put what a worker process says of itself on the roster, and take off those that fell silent.
-- The first write only removes, so that workers stay visible when Redis is full.
--
-- ARG worker: its id
-- ARG lifetime_ms: of a report
-- ARG report: JSON
-- EACH lane: that it is ready for
local now = now_ms()
local silent = now - tonumber(ARG.lifetime_ms)
redis.call('ZREMRANGEBYSCORE', K.workers(), '-inf', silent)
redis.call('SET', K.worker(ARG.worker), ARG.report, 'PX', ARG.lifetime_ms)
redis.call('ZADD', K.workers(), now, ARG.worker)
for n = EACH_FIRST, #ARGV do
  redis.call('ZREMRANGEBYSCORE', K.serving(EACH.lane), '-inf', silent)
  redis.call('ZADD', K.serving(EACH.lane), now, ARG.worker)
end

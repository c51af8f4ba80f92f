-- Write the report of a worker process to the roster, and remove processes that no longer report.
-- The first write only removes, so that workers stay visible when Redis is full.
--
-- ARG worker: its id
-- ARG lifetime_ms: of a report
-- ARG report: JSON
-- EACH lane: that it is ready for
local now = now_ms()
local too_old = now - tonumber(ARG.lifetime_ms)
redis.call('ZREMRANGEBYSCORE', K.workers(), '-inf', too_old)
redis.call('SET', K.worker(ARG.worker), ARG.report, 'PX', ARG.lifetime_ms)
redis.call('ZADD', K.workers(), now, ARG.worker)
for n = EACH_FIRST, #ARGV do
  redis.call('ZREMRANGEBYSCORE', K.serving(EACH.lane), '-inf', too_old)
  redis.call('ZADD', K.serving(EACH.lane), now, ARG.worker)
end

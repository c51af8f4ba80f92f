-- Say that requests still bring the images of batches, so that they are not taken for given up.
--
-- ARG give_up_ms: after which they would be given up
-- EACH batch
local until_ms = now_ms() + tonumber(ARG.give_up_ms)
for n = EACH_FIRST, #ARGV do redis.call('ZADD', K.open(), 'XX', until_ms, EACH.batch) end

-- Say that requests still bring the images of batches, so that they are not taken for given up.
--
-- ARGV: ms until they would be, batches ...
local until_ms = now_ms() + tonumber(ARGV[1])
for n = 2, #ARGV do redis.call('ZADD', K.open(), 'XX', until_ms, ARGV[n]) end

-- Take one token of a client's bucket, which fills with time, so that all API processes together
-- hold it to one rate.
--
-- ARGV: client, tokens per second, most tokens.
-- Returns 0, or the ms until there is a token.
local rate, most = tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_ms()
local seen = redis.call('HMGET', K.rate(ARGV[1]), 'tokens', 'at')
local tokens = most
if seen[1] then tokens = math.min(most, seen[1] + (now - seen[2]) * rate / 1000) end
if tokens < 1 then return math.ceil((1 - tokens) * 1000 / rate) end
redis.call('HSET', K.rate(ARGV[1]), 'tokens', tokens - 1, 'at', now)
redis.call('PEXPIRE', K.rate(ARGV[1]), math.ceil(most * 1000 / rate) + 1000) -- full again by then
return 0

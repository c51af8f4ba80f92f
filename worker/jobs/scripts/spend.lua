-- Take one token of a client's bucket, which fills with time, so that all API processes together
-- hold it to one rate.
--
-- ARG client
-- ARG rate: tokens per second
-- ARG most: tokens
-- Returns 0, or the ms until there is a token.
local rate, most = tonumber(ARG.rate), tonumber(ARG.most)
local now = now_ms()
local seen = redis.call('HMGET', K.rate(ARG.client), 'tokens', 'at')
local tokens = most
if seen[1] then tokens = math.min(most, seen[1] + (now - seen[2]) * rate / 1000) end
if tokens < 1 then return math.ceil((1 - tokens) * 1000 / rate) end
redis.call('HSET', K.rate(ARG.client), 'tokens', tokens - 1, 'at', now)
redis.call('PEXPIRE', K.rate(ARG.client), math.ceil(most * 1000 / rate) + 1000) -- full again by then
return 0

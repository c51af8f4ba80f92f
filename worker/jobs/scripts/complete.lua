-- Write the outcomes of items, each by compare-and-set: it counts only while the claim still holds
-- the item. A worker that was too late leaves no trace. The first write is an HDEL, which Redis
-- never refuses for lack of memory, so results can be written when it is full.
--
-- ARGV: claim, result ttl in ms, then for each outcome: item, 'result' or 'error', JSON, first label
--       or '', digest of the image's bytes or ''.
-- Returns the items that were refused.
local claim, ttl_ms = ARGV[1], tonumber(ARGV[2])
local refused = {}
for n = 3, #ARGV, 5 do
  local item = ARGV[n]
  if redis.call('HDEL', K.claim(claim), item) == 0 then
    refused[#refused + 1] = item
  else
    local id, number = split_item(item)
    if redis.call('HGET', K.job(id), 'status') == 'running' then
      write_outcome(id, number, ARGV[n + 1], ARGV[n + 2], ARGV[n + 3], ARGV[n + 4], ttl_ms)
    else
      redis.call('DEL', K.upload(id, number))
    end
  end
end
if redis.call('HLEN', K.claim(claim)) <= 3 then
  redis.call('DEL', K.claim(claim))
  redis.call('ZREM', K.leases(), claim)
end
return refused

-- Write the outcomes of items, each by compare-and-set: it counts only while the claim still holds
-- the item. A worker that was too late leaves no trace. The first write is an HDEL, so that results
-- can be written when Redis is full.
--
-- ARGV: claim, result ttl in ms, then item, 'result' or 'error', JSON for each outcome.
-- Returns {1 if the claim holds nothing any more, items that were refused ...}.
local claim, ttl_ms = ARGV[1], tonumber(ARGV[2])
local answer = {0}
for n = 3, #ARGV, 3 do
  local item, field, value = ARGV[n], ARGV[n + 1], ARGV[n + 2]
  if redis.call('HDEL', K.claim(claim), item) == 0 then
    answer[#answer + 1] = item
  else
    local id = split_item(item)
    if redis.call('HGET', K.job(id), 'status') == 'running' then
      if field == 'result' then
        redis.call('HINCRBY', K.job(id), 'succeeded', 1)
        end_job(id, 'succeeded', 'result', value, ttl_ms)
      else
        redis.call('HINCRBY', K.job(id), 'failed', 1)
        end_job(id, 'failed', 'error', value, ttl_ms)
      end
    end
  end
end
if redis.call('HLEN', K.claim(claim)) <= 3 then -- only the '@' fields are left
  redis.call('DEL', K.claim(claim))
  redis.call('ZREM', K.leases(), claim)
  answer[1] = 1
end
return answer

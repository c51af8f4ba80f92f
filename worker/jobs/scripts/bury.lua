-- Take back at once the claims of workers that are known to be dead, instead of when their leases run
-- out.
--
-- ARG max_attempts
-- ARG result_ms: for which results are kept
-- EACH worker: the id of a dead one
-- Returns the number of claims taken back.
local dead, taken = {}, 0
for n = EACH_FIRST, #ARGV do dead[EACH.worker] = true end
for _, claim in ipairs(redis.call('ZRANGE', K.leases(), 0, -1)) do
  if dead[redis.call('HGET', K.claim(claim), '@worker')] then
    bury(claim, tonumber(ARG.max_attempts), tonumber(ARG.result_ms))
    taken = taken + 1
  end
end
return taken

-- Take back at once the claims of workers that are known to be dead, instead of when their leases run
-- out.
--
-- ARGV: max attempts, result ttl in ms, worker ids ...
-- Returns the number of claims taken back.
local dead, taken = {}, 0
for n = 3, #ARGV do dead[ARGV[n]] = true end
for _, claim in ipairs(redis.call('ZRANGE', K.leases(), 0, -1)) do
  if dead[redis.call('HGET', K.claim(claim), '@worker')] then
    bury(claim, tonumber(ARGV[1]), tonumber(ARGV[2]))
    taken = taken + 1
  end
end
return taken

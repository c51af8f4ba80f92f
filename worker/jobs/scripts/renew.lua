-- Prolong the leases of a worker's claims. A claim that was taken back is not revived: that its
-- time has passed and that it is given to another must never both be undone.
--
-- ARGV: lease_ms, claims ...
-- Returns the claims that are lost.
local until_ms = now_ms() + tonumber(ARGV[1])
local lost = {}
for n = 2, #ARGV do
  -- Removed and added again, because ZADD alone is refused when Redis is full.
  if redis.call('ZREM', K.leases(), ARGV[n]) == 1 then
    redis.call('ZADD', K.leases(), until_ms, ARGV[n])
  else
    lost[#lost + 1] = ARGV[n]
  end
end
return lost

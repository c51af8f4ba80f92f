-- Prolong the leases of a worker's claims. A claim that was taken back is not revived: that its
-- time has passed and that it is given to another must never both be undone.
--
-- A worker that was not answered in time may have been given a claim that it does not know of. It
-- then names itself, and such claims go back to their queues, as if they had never been made.
--
-- ARG lease_ms
-- ARG worker: its id, or '' where it is sure of its claims
-- EACH claim
-- Returns the claims that are lost.
local until_ms = now_ms() + tonumber(ARG.lease_ms)
local worker = ARG.worker
local lost, known = {}, {}
for n = EACH_FIRST, #ARGV do
  known[EACH.claim] = true
  -- Removed and added again, because ZADD alone is refused when Redis is full.
  if redis.call('ZREM', K.leases(), EACH.claim) == 1 then
    redis.call('ZADD', K.leases(), until_ms, EACH.claim)
  else
    lost[#lost + 1] = EACH.claim
  end
end
if worker ~= '' then
  for _, claim in ipairs(redis.call('ZRANGE', K.leases(), 0, -1)) do
    if not known[claim] and redis.call('HGET', K.claim(claim), '@worker') == worker then
      local about, items = take_apart(claim)
      for _, row in ipairs(items) do
        requeue(row[1], row[2] - 1, about['@lane'], about['@target'], math.huge, '', 0)
      end
    end
  end
end
return lost
